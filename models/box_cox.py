"""The likeliest exponent of a Box-Cox transformation, for hundreds of short series a second."""

from __future__ import annotations

import numpy as np

from models.hourly_grid import Array

__all__ = ["likeliest_exponent"]

_BRACKET = (-2.0, 2.0)


def likeliest_exponent(values: Array) -> float:
    """The exponent p at which (y^p - 1) / p, or log y for p = 0, has the greatest normal likelihood.

    It is (p - 1) sum(log y) - n / 2 log var((y^p - 1) / p), searched from -2 and 2 by Brent's method (Box and Cox 1964); numbers as
    `scipy.stats.boxcox` finds them, which checks its arguments again at every step of the search and takes twenty times as long.

    Raises:
        ValueError: when `values` are all the same, or not all above 0.
    """
    from scipy.optimize import brent

    if not (values > 0).all() or (values == values[0]).all():
        raise ValueError("a Box-Cox transformation needs values above 0 that differ")
    logs = np.log(values)
    total, count = float(logs.sum()), logs.size

    def unlikely(exponent: float) -> float:
        scaled = exponent * logs
        top = float(scaled.max())
        spread = float(np.exp(scaled - top).var() if exponent else logs.var())
        inner = 2 * (top - np.log(abs(exponent))) if exponent else 0.0
        return float(0.5 * count * (np.log(spread) + inner) - (exponent - 1) * total) if spread > 0 else np.inf

    return float(brent(unlikely, brack=_BRACKET))
