"""Forecasters, backtest, selection, calibration, the registry, scoring and learning."""
