"""A regression of the next days on the last two weeks, pooled over all series: every step ahead is a linear function of the whole window.

With x a window on the logarithmic scale (see `models.log_scale`), m the mean of its last day, s its swing (mean absolute departure from its mean)
and d its last day, repeated,

    forecast of step h:   d[h] + s (b[h] + sum over i of B[h, i] (x[i] - m) / s)

so that one B serves series of any size. B is a ridge regression with several outputs (functional linear regression in its discrete form:
Ramsay and Silverman 2005, "Functional Data Analysis", chapter 16). Rows weigh by the inverse square of the window's usual change from day to day,
so that calm series are not drowned, and outlying rows less (Huber 1964). Strength of the ridge and quantiles of errors come from blocks
of time that the regression did not see.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from headroom.vocabulary import QUANTILES
from models.hourly_grid import Array, fill_rows, places
from models.lag_features import Index
from models.log_scale import LogScale
from models.rhythm import Rhythm

__all__ = ["WindowFit", "Windows", "block_of", "fit_windows", "windows"]

_DAYS: Final = 14
# A longer window is told as means of neighbouring steps: two weeks of five minutes as two weeks of hours.
_MOST_INPUTS: Final = 336
_DAYS_BEFORE_ORIGIN: Final = 7
# Origins are this share of the context apart (five hours of four weeks), further when there would be more rows or numbers than this.
_ORIGINS_IN_CONTEXT: Final = 134
_MOST_ROWS: Final = 20_000
_MOST_VALUES: Final = 8_500_000
_LEAST_ROWS: Final = 12
_LEAST_MEASURED: Final = 0.7
_FARTHEST: Final = 10.0
# Strengths of the ridge, in mean squares of the inputs; the one that errs least on blocks of time left out is taken, told by some rows.
_STRENGTHS: Final = (0.003, 0.03, 0.3, 3.0, 30.0)
_ROWS_TO_CHOOSE: Final = 6000
_FOLDS: Final = 4
_HUBER: Final = 1.5
_LEAST_RATIO: Final = 0.05
# A series' own quantiles of errors weigh as much as those of all when it has this many origins.
_POOLED_ORIGINS: Final = 20.0
# Last horizon of every block that shares quantiles of errors; longer ones double.
_EDGES: Final = (1, 3, 6, 12, 24, 48, 72)
_QUANTILES: Final = np.array(QUANTILES)
_NORMAL: Final = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])
_CONSTANT: Final = 1e-9

_Single = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WindowFit:
    """What was learnt.

    Attributes:
        names: of the series.
        weights: shape (inputs + 1, horizon), the last row is b.
        errors: shape (series + 1, blocks, quantiles), in usual changes; the last entry stands for a series that was not there.
    """

    names: tuple[str, ...]
    weights: Array
    errors: Array

    def rows(self, names: list[str]) -> Index:
        """Where each name is."""
        return places(self.names, names)


class Windows(NamedTuple):
    """Windows before some origins; the first axis is the window.

    Attributes:
        inputs: shape (windows, inputs + 1), departures in swings, and a one.
        anchor: shape (windows, horizon), the last day repeated.
        swing: shape (windows,); 0 for a constant window.
        change: shape (windows,), the usual change from one day to the next, all days' and the last two days'; 0 for a constant window.
    """

    inputs: _Single
    anchor: Array
    swing: Array
    change: Array


def windows(filled: Array, series: Index, origins: Index, rhythm: Rhythm) -> Windows:
    """The windows of `series` (rows of `filled`) before `origins`; what lies before the first step repeats the first day.

    Args:
        filled: shape (series, steps), without gaps.
    """
    day, days = rhythm.day, _days(rhythm)
    at = origins[:, None] + np.arange(-days * day, 0)
    window = filled[series[:, None], np.where(at < 0, at % day, at)]
    size, level = np.abs(window).mean(axis=1), window[:, -day:].mean(axis=1)
    swing = np.abs(window - window.mean(axis=1, keepdims=True)).mean(axis=1)
    constant = np.ptp(window, axis=1) <= _CONSTANT * size
    by_day = np.abs(np.diff(window.reshape(len(window), days, day), axis=1)).mean(axis=2)
    usual, lately = by_day.mean(axis=1), by_day[:, -2:].mean(axis=1)
    change = np.sqrt((lately + 0.1 * usual) * usual)
    swing, change = (np.where(constant, 0.0, np.maximum(unit, 1e-3 * size)) for unit in (swing, change))
    together = -(-window.shape[1] // _MOST_INPUTS)
    inputs = window.shape[1] // together
    means = window[:, window.shape[1] - inputs * together :].reshape(len(window), inputs, together).mean(axis=2)
    told = np.clip((means - level[:, None]) / np.where(swing > 0, swing, 1.0)[:, None], -_FARTHEST, _FARTHEST)
    anchor = window[:, -day + np.arange(rhythm.horizon) % day]
    return Windows(np.hstack([told, np.ones((len(told), 1))]).astype(np.float32), anchor, swing, change)


def fit_windows(names: list[str], values: Array, rhythm: Rhythm) -> WindowFit:
    """Weights and error quantiles from `values` (series, steps), NaN where nothing was measured.

    A history too short for a dozen windows gives no weights: the forecast is then the last day, with normal errors of its usual change.
    """
    inputs = windows(np.zeros((1, rhythm.day)), np.array([0]), np.array([rhythm.day]), rhythm).inputs.shape[1]
    blocks = int(block_of(np.array([rhythm.horizon]), rhythm)[0]) + 1
    nothing = WindowFit(
        tuple(names), np.zeros((inputs, rhythm.horizon)), np.broadcast_to(_NORMAL, (len(names) + 1, blocks, len(QUANTILES))).copy()
    )
    series, origins = _training_origins(np.isfinite(values), rhythm, inputs)
    if len(series) < _LEAST_ROWS:
        return nothing
    logged = LogScale.of(values).to(values)
    told = windows(fill_rows(logged, rhythm.day), series, origins, rhythm)
    truth = logged[series[:, None], origins[:, None] + np.arange(rhythm.horizon)]
    measured = np.isfinite(truth)
    good = (told.swing > 0) & (measured.mean(axis=1) >= _LEAST_MEASURED)
    if good.sum() < _LEAST_ROWS:
        return nothing
    swing = told.swing[good]
    target = np.where(measured[good], (truth[good] - told.anchor[good]) / swing[:, None], 0.0)
    ratio = told.change[good] / swing
    weights, missed = _regression(told.inputs[good], np.clip(target, -_FARTHEST, _FARTHEST).astype(np.float32), ratio, origins[good])
    missed = np.where(measured[good], missed, np.nan) / ratio[:, None]
    return WindowFit(tuple(names), weights, _error_quantiles(missed, series[good], len(names), rhythm))


def block_of(horizon: Index, rhythm: Rhythm) -> Index:
    """The block of horizons that share quantiles of errors; what lies beyond the last one belongs to it."""
    edges = list(_EDGES)
    while edges[-1] < rhythm.horizon:
        edges.append(2 * edges[-1])
    last = int(np.searchsorted(edges, rhythm.horizon))
    found: Index = np.minimum(np.searchsorted(edges, horizon), last)
    return found


def _days(rhythm: Rhythm) -> int:
    return max(2, min(_DAYS, rhythm.context // rhythm.day))


def _training_origins(measured: npt.NDArray[np.bool_], rhythm: Rhythm, inputs: int) -> tuple[Index, Index]:
    """(series, origins) of the windows to learn from, a week after the first measurement or later, their targets before the end."""
    count, steps = measured.shape
    before = min(_DAYS_BEFORE_ORIGIN, _days(rhythm)) * rhythm.day
    most = max(_LEAST_ROWS, min(_MOST_ROWS, _MOST_VALUES // (inputs + rhythm.horizon)))
    stride = rhythm.stride(max(1, rhythm.context // _ORIGINS_IN_CONTEXT, -(-count * steps // most)))
    origins = np.arange(steps - rhythm.horizon, before - 1, -stride, dtype=np.int64)[::-1]
    series, place = np.nonzero(origins[None, :] - before >= np.argmax(measured, axis=1)[:, None])
    return series, origins[place]


def _regression(inputs: _Single, target: _Single, ratio: Array, origins: Index) -> tuple[Array, Array]:
    """(weights of shape (inputs + 1, horizon), errors of rows that the regression did not see, in swings)."""
    fold = np.searchsorted(np.quantile(origins, np.arange(1, _FOLDS) / _FOLDS), origins, side="right")
    trust = np.maximum(ratio, _LEAST_RATIO) ** -2
    some = slice(None, None, -(-len(inputs) // _ROWS_TO_CHOOSE))
    losses = [
        float((np.abs(_left_out(inputs[some], target[some], trust[some], fold[some], strength)).mean(axis=1) / ratio[some]).mean())
        for strength in _STRENGTHS
    ]
    strength = _STRENGTHS[int(np.argmin(losses))]
    size = np.abs(_left_out(inputs, target, trust, fold, strength)).mean(axis=1) / ratio
    trust *= np.minimum(1.0, _HUBER * np.median(size) / np.maximum(size, 1e-9))
    return _weights(inputs, target, trust, strength), _left_out(inputs, target, trust, fold, strength)


def _left_out(inputs: _Single, target: _Single, trust: Array, fold: Index, strength: float) -> Array:
    """Errors of each fold by the weights of the others."""
    missed = target.astype(np.float64)
    for left in np.unique(fold):
        seen = fold != left
        if seen.any():
            missed[~seen] -= inputs[~seen] @ _weights(inputs[seen], target[seen], trust[seen], strength)
    return missed


def _weights(inputs: _Single, target: _Single, trust: Array, strength: float) -> Array:
    """Shape (inputs + 1, horizon)."""
    from sklearn.linear_model import Ridge

    weight = (trust / trust.mean()).astype(np.float32)
    squares = float((weight @ inputs**2).sum()) / inputs.shape[1]
    ridge = Ridge(alpha=strength * squares, fit_intercept=False, solver="cholesky").fit(inputs, target, sample_weight=weight)
    found: Array = np.atleast_2d(ridge.coef_).T.astype(np.float64)
    return found


def _error_quantiles(missed: Array, series: Index, count: int, rhythm: Rhythm) -> Array:
    """Shape (series + 1, blocks, quantiles): those of a series drawn towards the shape of all at its own width."""
    block = block_of(np.arange(1, rhythm.horizon + 1), rhythm)
    parts = [np.flatnonzero(block == each) for each in range(int(block[-1]) + 1)]
    # A block that was never measured takes the error of all.
    everyone = np.stack([_quantiles(missed[:, part], np.nanquantile(missed, _QUANTILES)) for part in parts])
    found = np.repeat(everyone[None], count + 1, axis=0)
    starts = np.searchsorted(series, np.arange(count + 1))
    for row, (start, end) in enumerate(pairwise(starts)):
        if end > start:
            own = np.stack([_quantiles(missed[start:end, part], usual) for part, usual in zip(parts, everyone, strict=True)])
            share = (end - start) / (end - start + _POOLED_ORIGINS)
            width = np.abs(own).mean() / max(float(np.abs(everyone).mean()), 1e-12)
            found[row] = share * own + (1 - share) * width * everyone
    return found


def _quantiles(missed: Array, otherwise: Array) -> Array:
    known = missed[np.isfinite(missed)]
    found: Array = np.quantile(known, _QUANTILES) if known.size else otherwise
    return found
