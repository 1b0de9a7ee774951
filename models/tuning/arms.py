"""The arms: named presets of forecasting parameters that the tuner chooses between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["ARMS", "DEFAULT_ARM", "TRAINING_ARMS", "Tuning", "TuningChoice"]


@dataclass(frozen=True)
class Tuning:
    """Parameters of a forecast; every candidate takes those that it knows.

    Attributes:
        history_days: days of history that a model is fitted on, at most.
        half_life_days: age at which a row of the history counts half.
        learning_rate: how far one step of learning goes: the shrinkage of a boosted tree, and the share of the newest day's error that
            a smoothed level takes over.
        weight_shrinkage: 0..1, how far what is estimated for one part (a series' ensemble weights, an hour of the week) is drawn
            towards what holds for all (equal weights, the hour of the day).
        changepoint_prior_scale: Prophet's flexibility of the trend.
    """

    history_days: int
    half_life_days: float
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


# The default is what the candidates do when nobody tunes them. The others differ from it in the direction that their name says; few of
# them, because every arm must be tried before it can be dismissed.
ARMS: Final[dict[str, Tuning]] = {
    "default": Tuning(90, 365.0, 0.08, 0.5, 0.05),
    "settled": Tuning(180, 365.0, 0.03, 0.2, 0.01),
    "pooled": Tuning(90, 60.0, 0.15, 0.9, 0.05),
    "fading": Tuning(60, 14.0, 0.15, 0.5, 0.1),
    "recent": Tuning(28, 7.0, 0.3, 0.3, 0.2),
    "agile": Tuning(14, 3.0, 0.6, 0.7, 0.5),
}
DEFAULT_ARM: Final = next(iter(ARMS))
# What a training offers: it takes the weight shrinkage alone, and arms that differ in anything else would be one arm under two names.
TRAINING_ARMS: Final[dict[str, Tuning]] = {
    name: replace(ARMS[DEFAULT_ARM], weight_shrinkage=share) for name, share in {DEFAULT_ARM: 0.5, "own": 0.2, "shared": 0.8}.items()
}
