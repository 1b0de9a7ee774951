"""The candidates that compete in the backtest, by name. What is to be known of one stands in its own file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headroom.errors import BadInputError
from models.candidates.declaration import Declaration
from models.candidates.exponential_smoothing import EXPONENTIAL_SMOOTHING
from models.candidates.flair import FLAIR
from models.candidates.lightgbm_quantile import LIGHTGBM
from models.candidates.prophet_events import PROPHET
from models.candidates.recurrent import GRU
from models.candidates.seasonal_naive import SEASONAL_NAIVES
from models.candidates.seasonal_ridge import SEASONAL_RIDGE
from models.candidates.statistical import STATISTICAL
from models.candidates.window_ridge import WINDOW_RIDGE
from models.forecaster import Forecaster
from models.tuning.arms import ARMS, DEFAULT_ARM, Tuning

__all__ = ["CANDIDATES", "DECLARED", "DEFAULT_CANDIDATES", "GLOBAL_CANDIDATES", "LOCAL_CANDIDATES", "NAIVES", "bare", "create", "unwrapped"]

_LISTED: Final[tuple[Declaration, ...]] = (
    *SEASONAL_NAIVES,
    FLAIR,
    *STATISTICAL,
    PROPHET,
    SEASONAL_RIDGE,
    LIGHTGBM,
    EXPONENTIAL_SMOOTHING,
    WINDOW_RIDGE,
    GRU,
)
DECLARED: Final[Mapping[str, Declaration]] = {one.name: one for one in _LISTED}
CANDIDATES: Final = tuple(DECLARED)
NAIVES: Final = tuple(one.name for one in SEASONAL_NAIVES)
# One model per series: their series can be spread over shards.
LOCAL_CANDIDATES: Final = tuple(one.name for one in _LISTED if not one.pooled)
# One model across all series: needs all of them in one shard.
GLOBAL_CANDIDATES: Final = tuple(one.name for one in _LISTED if one.pooled)
# What a training takes unless told otherwise: the others cost ten times as much and added nothing to the ensembles of the benchmark; the window
# ridge costs little, and helped on one of the five recordings before their test windows.
DEFAULT_CANDIDATES: Final = tuple(one.name for one in _LISTED if one.default)


def create(name: str, *, seed: int = 0, tuning: Mapping[str, Tuning] | None = None) -> Forecaster:
    """A new, unfitted candidate that takes events, readings and new levels into account, whether it can by itself or not.

    The naives stay as they are: they are what the others are measured against.

    Args:
        tuning: unique_id -> parameters of its forecasts; series that are not listed take the defaults.

    Raises:
        BadInputError: when no candidate has this name.
    """
    if name in NAIVES:
        return bare(name)
    from models.candidates.driver_adjusted import DriverAdjusted
    from models.candidates.level_adjusted import LevelAdjusted
    from models.candidates.young_adjusted import YoungAdjusted

    inner = bare(name, seed=seed, tuning=tuning)
    limits = {series: told.history_days for series, told in (tuning or {}).items() if told.history_days < ARMS[DEFAULT_ARM].history_days}
    if limits:
        from models.candidates.limited_history import LimitedHistory

        inner = LimitedHistory(inner, limits)
    return DriverAdjusted(LevelAdjusted(YoungAdjusted(inner)))


def unwrapped(forecaster: Forecaster | None) -> Forecaster | None:
    """The candidate by itself of one that `create` made."""
    while (inner := getattr(forecaster, "inner", None)) is not None:
        forecaster = inner
    return forecaster


def bare(name: str, *, seed: int = 0, tuning: Mapping[str, Tuning] | None = None) -> Forecaster:
    """A new, unfitted candidate by itself, with those of the parameters of `tuning` (see `create`) that it knows.

    Raises:
        BadInputError: when no candidate has this name.
    """
    if name not in DECLARED:
        raise BadInputError(f"candidate {name!r} is unknown; known: {', '.join(DECLARED)}")
    return DECLARED[name].make(seed, tuning)
