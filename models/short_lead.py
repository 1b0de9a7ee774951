"""A short-lead correction of issued forecasts: what the newest measurement says about the next steps, learnt from the errors made so far.

At an issue time the step just measured was forecast at the issue time before; its error `e` is known. For every series and lead `h`

    median' = median + b_h e,        quantile' = median' + k_h (quantile - median)

with `b_h` the slope of the error at lead h on `e`, over past issue times whose step h was measured by then (older ones fade with a half-life),
drawn towards the slope over all series; and `k_h` one factor above and one below the median, moved after every outcome so that the 10 % and 90 %
quantiles hold as often as they say (adaptive conformal inference of Gibbs and Candes 2021, with the feedback delayed by the lead). Errors are
counted in units of the series' usual error and cut off, so that a single outage does not decide.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from headroom.vocabulary import QUANTILES

__all__ = ["correct_short_leads"]

Array = npt.NDArray[np.float64]
_HALF_LIFE: Final = 120.0
_CUT: Final = 4.0
_PRIOR: Final = 8.0
_POOL: Final = 1.0
_GAIN: Final = 0.03
_OWN: Final = 0.5
_MOST_SLOPE: Final = 1.2
_MOST_FACTOR: Final = 4.0
_MIDDLE: Final = QUANTILES.index(0.5)
_LOW, _HIGH = QUANTILES.index(0.1), QUANTILES.index(0.9)


def correct_short_leads(values: npt.NDArray[np.float32], truth: Array, last: Array, stride: int) -> npt.NDArray[np.float32]:
    """Corrected forecasts, of the shape of `values`; a row depends on earlier rows and on what was measured before its issue time.

    Args:
        values: shape (I, S, H, quantiles), issued every `stride` steps, ascending.
        truth: shape (I, S, H), what was then measured at each lead; NaN where nothing was, or not yet.
        last: shape (I, S), the measurement of the step before each issue time; NaN where there was none.
        stride: steps between two issue times, at most H.
    """
    count, series, horizon, _ = values.shape
    middle = values[..., _MIDDLE].astype(float)
    scale = _usual_error(middle, last, stride)
    error = np.zeros((count, series))
    error[1:] = np.nan_to_num(last[1:] - middle[:-1, :, stride - 1])
    known = np.clip(error / scale, -_CUT, _CUT)
    corrected = np.empty_like(values)
    learner = _Learner(series, horizon)
    lead = np.arange(horizon)
    age = lead // stride + 1
    for row in range(count):
        past = row - age
        there = past >= 0
        if there.any():
            at, ahead = past[there], lead[there]
            learner.see(ahead, known[at], truth[at, :, ahead], middle[at, :, ahead], corrected[at, :, ahead], scale[at])
        shift = learner.slope() * (known[row] * scale[row])[:, None]
        raw = values[row].astype(float)
        spread = raw - raw[..., [_MIDDLE]]
        moved = raw[..., _MIDDLE] + shift
        factor = np.where(spread > 0, learner.above[..., None], learner.below[..., None])
        floor = np.minimum(raw[..., 0], 0.0)[..., None]
        corrected[row] = np.maximum(moved[..., None] + factor * spread, floor)
    return corrected


class _Learner:
    """Fading sums and factors, all of shape (S, H)."""

    def __init__(self, series: int, horizon: int) -> None:
        shape = (series, horizon)
        self.product, self.square = np.zeros(shape), np.zeros(shape)
        self.above, self.below = np.ones(shape), np.ones(shape)
        self._fade = 0.5 ** (1 / _HALF_LIFE)

    def see(
        self, ahead: npt.NDArray[np.int64], known: Array, truth: Array, middle: Array, said: npt.NDArray[np.float32], scale: Array
    ) -> None:
        """Outcomes at the leads `ahead`, one row each: (leads, S) and (leads, S, quantiles)."""
        measured = np.isfinite(truth) & np.isfinite(middle)
        made = np.where(measured, np.clip((np.nan_to_num(truth) - middle) / scale, -_CUT, _CUT), 0.0)
        informed = np.where(measured, known, 0.0)
        self.product[:, ahead] = self.product[:, ahead] * self._fade + (informed * made).T
        self.square[:, ahead] = self.square[:, ahead] * self._fade + (informed**2).T
        for factor, outside, share in ((self.above, truth > said[..., _HIGH], 0.1), (self.below, truth < said[..., _LOW], 0.1)):
            missed = np.where(measured, outside - share, 0.0)
            moved = _OWN * missed + (1 - _OWN) * missed.mean(axis=1, keepdims=True)
            factor[:, ahead] = np.clip(factor[:, ahead] * np.exp(_GAIN * moved / share).T, 1 / _MOST_FACTOR, _MOST_FACTOR)

    def slope(self) -> Array:
        """Drawn towards the slope of all series, and towards 0 while little was seen."""
        product = self.product + _POOL * self.product.mean(axis=0)
        square = self.square + _POOL * self.square.mean(axis=0)
        slope: Array = np.clip(product / (square + _PRIOR), 0.0, _MOST_SLOPE)
        return slope


def _usual_error(middle: Array, last: Array, stride: int) -> Array:
    """Shape (I, S): fading mean of the absolute errors of the newest forecast, known by each issue time; the first says what a step changes."""
    made = np.full(last.shape, np.nan)
    made[1:] = np.abs(last[1:] - middle[:-1, :, stride - 1])
    found = np.empty(last.shape)
    level = np.maximum(np.nan_to_num(np.abs(last[0] - middle[0, :, 0]), nan=0.0), 1e-3 * np.abs(np.nan_to_num(middle[0, :, 0])) + 1e-9)
    fade = 0.5 ** (1 / _HALF_LIFE)
    mass = 1.0
    for row in range(len(last)):
        seen = np.isfinite(made[row])
        mass = mass * fade + 1.0
        level = np.where(seen, level + (np.nan_to_num(made[row]) - level) / mass, level)
        found[row] = np.maximum(level, 1e-9)
    return found
