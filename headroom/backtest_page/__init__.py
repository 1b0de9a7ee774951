"""The page of a backtest: what the forecast is worth, where it fails, and what it leaned on."""
