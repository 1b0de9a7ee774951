"""FLAIR of `flaircast`: a level by ridge regression times a shape of the day, a hundredth of a second per series."""

from __future__ import annotations

import logging
import math
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILES
from models.box_cox import likeliest_exponent
from models.candidates.declaration import Declaration
from models.candidates.per_series import forecast_each
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, grid
from models.quantile_frame import lowest, quantile_frame
from models.rhythm import HOURLY, Rhythm
from models.row_quantiles import row_quantiles

__all__ = ["FLAIR", "Flair"]

_LEVELS: Final = np.array(QUANTILES)
# Sample paths per series: quantiles from more of them differ by less than windows do.
_PATHS: Final = 200
# FLAIR's names of steps, in minutes.
_FREQUENCIES: Final = {"5T": 5, "10T": 10, "15T": 15, "30T": 30, "H": 60, "D": 24 * 60}
# FLAIR's names for `scipy.stats.boxcox` and for the function that asks it for an exponent.
_SEARCH: Final = "scipy_boxcox"
_ASKS: Final = "_bc_lambda"
_NEAR: Final = 1e-4
_ONE_AT_A_TIME: Final = threading.Lock()
_LOG: Final = logging.getLogger(__name__)


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

    FLAIR has no argument for it, so a private name of its is swapped, by one thread at a time. A version in which that would not give the
    same exponents is left as it is, and a warning says so.
    """
    if not _takes_our_exponents():
        yield
        return
    from flaircast import _level

    with _ONE_AT_A_TIME:
        theirs = getattr(_level, _SEARCH)
        setattr(_level, _SEARCH, _ours)
        try:
            yield
        finally:
            setattr(_level, _SEARCH, theirs)


@cache
def _takes_our_exponents() -> bool:
    """Whether FLAIR, given our search for an exponent, calls it and comes to the exponent that it finds by itself."""
    from flaircast import _level

    values = 2.0 + np.sin(np.arange(1.0, 51.0))  # the exponent is 0.576, away from the bounds 0 and 1 that FLAIR sets
    theirs, asked = getattr(_level, _SEARCH, None), getattr(_level, _ASKS, None)
    called: list[float] = []

    def noted(given: Array) -> tuple[None, float]:
        called.append(likeliest_exponent(given))
        return None, called[-1]

    if theirs is not None and asked is not None:
        with _ONE_AT_A_TIME:
            alone = float(asked(values))
            setattr(_level, _SEARCH, noted)
            try:
                same = abs(float(asked(values)) - alone) < _NEAR and len(called) == 1
            except (TypeError, ValueError, AttributeError):
                same = False
            finally:
                setattr(_level, _SEARCH, theirs)
        if same:
            return True
    _LOG.warning(
        "flaircast %s searches for exponents in another way than 0.6: FLAIR forecasts take about four times as long", version("flaircast")
    )
    return False


def _ours(values: Array) -> tuple[None, float]:
    """In place of `scipy.stats.boxcox`, of which FLAIR uses the exponent alone."""
    return None, likeliest_exponent(values)


FLAIR: Final = Declaration("flair", lambda seed, _tuning: Flair(seed), seconds=0.006, packages=("flaircast",), default=True)
