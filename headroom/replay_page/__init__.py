"""The page of a replay: what every policy would have cost and missed."""
