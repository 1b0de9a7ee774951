"""Experts that say how calibrated intervals must move, and how far each is to be believed (adaptive conformal inference).

No one rate serves calm and upheaval: offsets that follow within days cost accuracy while nothing happens. So several run side by side and
are weighed by how well what they said would have done (Gibbs and Candes 2024; Zaffran et al. 2022):

- *slow*: every quantile by itself follows its own share of misses, miss = share of y above it, less 1 - q, at `_SLOW` a day (quantile
  tracking: Gibbs and Candes 2021) in steps that know their scale, miss / density of a normal distribution as wide as the forecast;
- *stretch*: all quantiles move away from the median or towards it, by the mean distance of y over the one that the forecast expects;
- *fast*: the same around a median that moves as well, at once where y is further off than the spread explains.

What an expert is worth is its pinball loss on judged hours with the offsets that it had *when those forecasts were issued*, since an hour
that is h ahead gets the offsets of h hours before; each quantile's loss counts in units of what it is at best, so that the rare ones
count, too. The loss fades by half in `_MEMORY_DAYS`; weights are prior x loss ^ -`_SHARPNESS`.

Everything is in units of `models.calibration.interval_scale` of the forecast before any of this.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.vocabulary import MEDIAN, QUANTILE_COLUMNS, QUANTILES
from models.hourly_grid import Array

__all__ = ["STATE_COLUMNS", "Judged", "combined", "stepped"]

_NORMAL: Final = NormalDist()
_LEVELS: Final = np.array(QUANTILES)
_UNIT: Final = 2.0 * _NORMAL.inv_cdf(0.9)
_PLACES: Final = np.array([_NORMAL.inv_cdf(q) for q in QUANTILES]) / _UNIT
_DENSITY: Final = _UNIT * np.array([_NORMAL.pdf(_NORMAL.inv_cdf(q)) for q in QUANTILES])
# Probability that each quantile stands for.
_MASS: Final = np.diff(np.concatenate([[0.0], (_LEVELS[1:] + _LEVELS[:-1]) / 2, [1.0]]))
_MIDDLE: Final = QUANTILE_COLUMNS.index(MEDIAN)

_SLOW_COLUMNS: Final = [f"slow {name}" for name in QUANTILE_COLUMNS]
_LOSSES: Final = ["loss slow", "loss stretch", "loss fast"]
# The state of one series and horizon bucket; 0 everywhere at first. Stretches are less 1.
STATE_COLUMNS: Final = (*_SLOW_COLUMNS, "stretch", "fast shift", "fast stretch", *_LOSSES)

_SLOW: Final = 0.05
_STRETCH: Final = {"wider": 0.6, "narrower": 1.2}
_FAST_STRETCH: Final = {"wider": 0.8, "narrower": 1.2}
# A day takes this share of a shift that the spread explains, and this multiple of the rest.
_SHIFT_NEAR: Final = 1.0
_SHIFT_FAR: Final = 2.0
# Of the spread of now: mean distances beyond the first are no luck; single ones beyond the second are a shift, not a spread.
_NEAR: Final = 0.8
_SPREAD_REACH: Final = 1.5
_MOST_FAR: Final = 3.0
# Margin for what a spread that was learnt from few hours does not know.
_MARGIN: Final = {"stretch": 1.15, "fast": 1.15}
_MEMORY_DAYS: Final = 1.5
_SHARPNESS: Final = 20.0
_PRIOR: Final = np.array([0.0, -1.0, -2.0])
_MOST_SCORE: Final = 8.0
_STRETCHES: Final = (0.2, 8.0)


class Judged:
    """Judged rows in units of their own width, and the group (0 .. `count` - 1) of each.

    Attributes:
        truth: distance of y to the forecast's median, shape (rows,).
        forecast: of every quantile to the median, shape (rows, quantiles).
        groups: shape (rows,).
        days: newly judged hours of every group / 24.
    """

    def __init__(self, truth: Array, forecast: Array, groups: npt.NDArray[np.intp], days: Array) -> None:
        self.truth, self.forecast, self.groups, self.days = np.clip(truth, -_MOST_SCORE, _MOST_SCORE), forecast, groups, days
        self._size = np.bincount(groups, minlength=len(days))

    def mean(self, values: Array) -> Array:
        """Per group, along the first axis."""
        columns = values.reshape(len(values), -1).T
        sums = np.stack([np.bincount(self.groups, weights=column, minlength=len(self.days)) for column in columns], axis=1)
        found: Array = (sums / self._size[:, None]).reshape(len(self.days), *values.shape[1:])
        return found


def combined(state: pd.DataFrame) -> Array:
    """Offsets of the quantiles, shape (rows, quantiles), of states of `STATE_COLUMNS`."""
    loss = state[_LOSSES].to_numpy(dtype=float)
    known = (loss > 0).all(axis=1, keepdims=True)
    power = _PRIOR - _SHARPNESS * np.log(np.where(known, loss, 1.0))
    weight = np.exp(power - power.max(axis=1, keepdims=True))
    weight = weight / weight.sum(axis=1, keepdims=True)
    mixed: Array = (weight.T[:, :, None] * _said(state)).sum(axis=0)
    return mixed


def stepped(state: pd.DataFrame, judged: Judged, issued: pd.DataFrame) -> pd.DataFrame:
    """`state` (a row per group of `judged`) after the judged rows.

    Args:
        issued: the states that served when the rows were issued, a row each.
    """
    days, new = judged.days, state.copy()
    slow = state[_SLOW_COLUMNS].to_numpy(dtype=float)
    above = (judged.truth[:, None] > judged.forecast + slow[judged.groups]).astype(float)
    new[_SLOW_COLUMNS] = np.clip(slow + _SLOW * days[:, None] * (judged.mean(above) - (1.0 - _LEVELS)) / _DENSITY, -2.0, 2.0)
    new["stretch"] = _stretched(state["stretch"], judged, np.zeros(len(days)), _STRETCH, _MARGIN["stretch"])
    shift = _shifted(state, judged)
    new["fast stretch"] = _stretched(state["fast stretch"], judged, shift, _FAST_STRETCH, _MARGIN["fast"])
    new["fast shift"] = shift
    before = state[_LOSSES].to_numpy(dtype=float)
    losses = np.stack([judged.mean(_loss(judged, said)) for said in _said(issued)], axis=1)
    kept = np.exp2(-days / _MEMORY_DAYS)[:, None]
    new[_LOSSES] = np.maximum(np.where(before > 0, kept * before + (1.0 - kept) * losses, losses), 1e-6)
    return new


def _said(state: pd.DataFrame) -> Array:
    """Offsets of every expert, shape (experts, rows, quantiles)."""
    slow, rest = state[_SLOW_COLUMNS].to_numpy(dtype=float), state[["stretch", "fast shift", "fast stretch"]].to_numpy(dtype=float)
    return np.stack([slow, rest[:, :1] * _PLACES, rest[:, 1:2] + rest[:, 2:] * _PLACES])


def _loss(judged: Judged, offsets: Array) -> Array:
    """Pinball loss of every row, each quantile's over what a normal forecast that knows everything has."""
    error = judged.truth[:, None] - judged.forecast - offsets
    found: Array = (np.maximum(_LEVELS * error, (_LEVELS - 1.0) * error) / _DENSITY).mean(axis=1)
    return found


def _shifted(state: pd.DataFrame, judged: Judged) -> Array:
    """The fast expert's shift: where the spread explains the distance, an exponential average; beyond, faster."""
    shift = state["fast shift"].to_numpy(dtype=float)
    expected = judged.forecast @ _MASS
    away = judged.mean(judged.truth - expected) - shift
    reach = _NEAR * np.clip(1.0 + state["fast stretch"].to_numpy(dtype=float), 0.5, 4.0)
    near = np.clip(away, -reach, reach)
    far = np.clip(away - near, -_MOST_FAR, _MOST_FAR)
    moved = shift - np.expm1(-_SHIFT_NEAR * judged.days) * near - np.expm1(-_SHIFT_FAR * judged.days) * far
    found: Array = np.clip(moved, -_MOST_SCORE, _MOST_SCORE)
    return found


def _stretched(stretch: pd.Series[float], judged: Judged, shift: Array, rates: dict[str, float], margin: float) -> Array:
    """The stretch after the rows: an exponential average of the distance of y over the one expected, of rows that are no shift."""
    now = 1.0 + stretch.to_numpy(dtype=float)
    distance = np.abs(judged.truth - shift[judged.groups])
    near = (distance < _SPREAD_REACH * np.clip(now, 0.5, 4.0)[judged.groups]).astype(float)
    share = judged.mean(near)
    expected = judged.mean(np.abs(judged.forecast) @ _MASS * near)
    seen = np.divide(margin * judged.mean(distance * near), expected, out=now.copy(), where=expected > 0)
    rate = np.where(seen < now, rates["narrower"], rates["wider"])
    moved: Array = np.clip(now - np.expm1(-rate * judged.days) * share * (seen - now), *_STRETCHES)
    return moved - 1.0
