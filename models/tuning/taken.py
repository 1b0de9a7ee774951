"""What candidates take of the tuning of their series, as arrays; a series that was not tuned has what candidates do by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.hourly_grid import Array
from models.tuning.arms import ARMS, DEFAULT_ARM, Tuning

__all__ = ["half_life_days", "learning", "shrinkage_odds"]


def half_life_days(names: Sequence[str], tuning: Mapping[str, Tuning], usual: float = np.inf) -> Array:
    """Age in days at which a row of each series counts half.

    Args:
        usual: of a candidate that is not told; infinite when all rows count alike.
    """
    told = (_of(name, tuning).half_life_days for name in names)
    return np.array([usual if days is None else days for days in told], dtype=float)


def learning(names: Sequence[str], tuning: Mapping[str, Tuning]) -> Array:
    """Learning rate of each series over the default's."""
    return np.array([_of(name, tuning).learning_rate for name in names], dtype=float) / ARMS[DEFAULT_ARM].learning_rate


def shrinkage_odds(names: Sequence[str], tuning: Mapping[str, Tuning]) -> Array:
    """Odds s / (1 - s) of each series' weight shrinkage s, which multiply a prior that draws towards all series; 1 by default."""
    share = np.array([_of(name, tuning).weight_shrinkage for name in names], dtype=float)
    odds: Array = share / (1.0 - share)
    return odds


def _of(name: str, tuning: Mapping[str, Tuning]) -> Tuning:
    return tuning.get(name, ARMS[DEFAULT_ARM])
