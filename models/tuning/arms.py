"""The arms: named presets of forecasting parameters that the tuner chooses between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["ARMS", "DEFAULT_ARM", "Tuning", "TuningChoice"]


@dataclass(frozen=True)
class Tuning:
    """Parameters of the forecasts of one series; every candidate takes those that it knows.

    Attributes:
        history_days: days of history that a candidate is given, at most.
        half_life_days: age at which a row of the history counts half; None leaves it to each candidate.
        learning_rate: how far one step of learning goes.
        weight_shrinkage: above 0 and below 1, how far what is estimated for one series (its ensemble weights, its regression) is drawn towards what
            holds for all.
        changepoint_prior_scale: Prophet's flexibility of the trend.
    """

    history_days: int
    half_life_days: float | None
    learning_rate: float
    weight_shrinkage: float
    changepoint_prior_scale: float


@dataclass(frozen=True)
class TuningChoice:
    """What a training is told about one series.

    Attributes:
        arm: name of the preset.
        tuning: its values.
    """

    arm: str
    tuning: Tuning


# What candidates do when nobody tunes them.
_DEFAULT: Final = Tuning(history_days=90, half_life_days=None, learning_rate=0.08, weight_shrinkage=0.5, changepoint_prior_scale=0.01)
# Few of them, because every arm must be tried before it can be dismissed; each differs from the default in something that the candidates which
# a training takes by itself feel.
ARMS: Final[dict[str, Tuning]] = {
    "default": _DEFAULT,
    "settled": replace(_DEFAULT, learning_rate=0.03, weight_shrinkage=0.65, changepoint_prior_scale=0.003),
    "own": replace(_DEFAULT, learning_rate=0.16, weight_shrinkage=0.35, changepoint_prior_scale=0.03),
    "fading": replace(_DEFAULT, half_life_days=7.0, changepoint_prior_scale=0.05),
    "recent": replace(_DEFAULT, history_days=14, changepoint_prior_scale=0.1),
}
DEFAULT_ARM: Final = next(iter(ARMS))
