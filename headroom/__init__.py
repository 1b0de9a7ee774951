"""The vocabulary every other package speaks: series, quantiles, settings, the lake, the issue time."""
