"""FLAIR of `flaircast`: a level by ridge regression times a shape of the day, a hundredth of a second per series."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILES
from models.box_cox import likeliest_exponent
from models.candidates.per_series import forecast_each
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, grid
from models.quantile_frame import lowest, quantile_frame
from models.rhythm import HOURLY, Rhythm
from models.row_quantiles import row_quantiles

__all__ = ["Flair"]

_LEVELS: Final = np.array(QUANTILES)
# Sample paths per series: quantiles from more of them differ by less than windows do.
_PATHS: Final = 200
# FLAIR's names of steps, in minutes.
_FREQUENCIES: Final = {"5T": 5, "10T": 10, "15T": 15, "30T": 30, "H": 60, "D": 24 * 60}
# Its name in FLAIR for `scipy.stats.boxcox`, of which it uses the exponent alone.
_SEARCH: Final = "scipy_boxcox"


class Flair:
    """Quantiles of FLAIR's sample paths; refitted on the history that a forecast is given."""

    def __init__(self, seed: int = 0) -> None:
        self.name = "flair"
        self.seed = seed
        self._rhythm = HOURLY

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:  # noqa: ARG002 -- the protocol's arguments
        self._rhythm = calendar.rhythm
        return self

    def predict_quantiles(
        self,
        history: pd.DataFrame,
        events: pd.DataFrame,  # noqa: ARG002 -- the protocol's argument
        issue_time: pd.Timestamp,
        horizon: int = HORIZON_HOURS,
    ) -> pd.DataFrame:
        names, values = grid(history, issue_time, self._rhythm)
        with _fast_box_cox(), np.errstate(all="ignore"):  # its search over periods divides by zero on flat stretches, and drops them
            quantiles = forecast_each(self.name, names, values, horizon, self._one, self._rhythm.day)
        return quantile_frame(names, quantiles, issue_time, lowest(values), self._rhythm.step)

    def _one(self, name: str, filled: Array, horizon: int) -> Array:
        from flaircast import forecast

        seed = zlib.crc32(f"{self.seed}/{name}".encode())  # a series' paths do not depend on which others are forecast with it
        with warnings.catch_warnings():  # a series that varies little has an optimal power transformation that scipy bounds, and says so
            warnings.filterwarnings("ignore", message="The optimal lambda", category=UserWarning)
            paths = forecast(filled, horizon=horizon, freq=_frequency(self._rhythm), n_samples=_PATHS, seed=seed)
        return row_quantiles(paths.T, _LEVELS)


def _frequency(rhythm: Rhythm) -> str:
    """FLAIR's name of the step nearest to ours, which decides the periods that it tries."""
    minutes = rhythm.step / pd.Timedelta(minutes=1)
    return min(_FREQUENCIES, key=lambda name: abs(math.log(minutes / _FREQUENCIES[name])))


@contextmanager
def _fast_box_cox() -> Iterator[None]:
    """Hand FLAIR the same exponents, found faster: scipy's search for them is three quarters of its time.

    A version of `flaircast` that names its import otherwise is left as it is.
    """
    from flaircast import _level

    theirs = getattr(_level, _SEARCH, None)
    if theirs is None:
        yield
        return
    setattr(_level, _SEARCH, lambda values: (None, likeliest_exponent(values)))
    try:
        yield
    finally:
        setattr(_level, _SEARCH, theirs)
