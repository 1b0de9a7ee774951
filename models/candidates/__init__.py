"""The candidates that compete in the backtest, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headroom.errors import BadInputError
from models.forecaster import Forecaster
from models.tuning.arms import ARMS, DEFAULT_ARM, Tuning

__all__ = ["CANDIDATES", "DEFAULT_CANDIDATES", "GLOBAL_CANDIDATES", "LOCAL_CANDIDATES", "NAIVES", "bare", "create", "unwrapped"]

NAIVES: Final = ("seasonal-naive-24", "seasonal-naive-168")
# One model per series: their series can be spread over shards.
LOCAL_CANDIDATES: Final = (*NAIVES, "flair", "auto-arima", "auto-ets", "mstl", "theta", "auto-ces", "prophet")
# One model across all series: needs all of them in one shard.
GLOBAL_CANDIDATES: Final = ("seasonal-ridge", "lightgbm", "exponential-smoothing", "window-ridge", "gru")
CANDIDATES: Final = (*LOCAL_CANDIDATES, *GLOBAL_CANDIDATES)
# What a training takes unless told otherwise: the others cost ten times as much and added nothing to the ensembles of the benchmark; the window
# ridge costs little, and helped on one of the five recordings before their test windows.
DEFAULT_CANDIDATES: Final = (*NAIVES, "flair", "seasonal-ridge", "exponential-smoothing", "lightgbm")


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
    if name in NAIVES:
        from models.candidates.seasonal_naive import SeasonalNaive

        return SeasonalNaive(season=int(name.rpartition("-")[2]))
    if name in ("auto-arima", "auto-ets", "mstl", "theta", "auto-ces"):
        from models.candidates.statistical import Statistical

        return Statistical(name)
    if name == "flair":
        from models.candidates.flair import Flair

        return Flair(seed=seed)
    if name == "prophet":
        from models.candidates.prophet_events import ProphetEvents

        return ProphetEvents(seed, tuning)
    if name == "seasonal-ridge":
        from models.candidates.seasonal_ridge import SeasonalRidge

        return SeasonalRidge(seed, tuning)
    if name == "lightgbm":
        from models.candidates.lightgbm_quantile import LightGBMQuantile

        return LightGBMQuantile(seed, tuning)
    if name == "exponential-smoothing":
        from models.candidates.exponential_smoothing import ExponentialSmoothing

        return ExponentialSmoothing(seed, tuning)
    if name == "window-ridge":
        from models.candidates.window_ridge import WindowRidge

        return WindowRidge(seed=seed)
    if name == "gru":
        from models.candidates.recurrent import Recurrent

        return Recurrent(seed=seed)
    raise BadInputError(f"candidate {name!r} is unknown; known: {', '.join(CANDIDATES)}")
