"""A regression on simple seasonal forecasts, pooled over all series: seconds for a thousand of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILES
from models.candidates.declaration import Declaration
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, fill_rows, grid, places, training_grid
from models.lag_features import Index, day_rms
from models.quantile_frame import lowest, no_quantiles, quantile_frame, within_reach
from models.rhythm import HOURLY, Rhythm
from models.row_quantiles import row_quantiles
from models.seasonal_bases import BASES, base_forecasts
from models.tuning.arms import Tuning
from models.tuning.taken import half_life_days, shrinkage_odds
from models.weighted_quantiles import weighted_quantiles

__all__ = ["SEASONAL_RIDGE", "RidgeFit", "SeasonalRidge", "fit_ridge", "ridge_point"]

_MOST_ORIGINS: Final = 150
# Origins are this share of the context apart: five hours of four weeks.
_ORIGINS_IN_CONTEXT: Final = 134
# Last horizon of every block of horizons that shares its weights; longer ones double.
_EDGES: Final = (1, 3, 6, 12, 24, 48, 72)
# Strength of the prior, in mean squares of the departures: of zero for the common weights, and of the common weights for a series' own, the
# latter in origins. Chosen on windows before the test windows of the benchmark's traces.
_COMMON_PRIOR: Final = 0.1
_OWN_PRIOR_ORIGINS: Final = 10.0
# Departures beyond this many scales are outliers; residuals beyond this many median ones count less (Huber 1964).
_FARTHEST: Final = 20.0
_HUBER: Final = 2.5
_PASSES: Final = 2
_SERIES_AT_ONCE: Final = 64
_QUANTILES: Final = np.array(QUANTILES)


@dataclass(frozen=True)
class RidgeFit:
    """What was learnt; the first axis is the series, the last entry of it stands for a series that was not there.

    Attributes:
        names: of the series.
        weights: shape (series + 1, blocks, BASES - 1).
        errors: shape (series + 1, blocks, quantiles), in scales.
    """

    names: tuple[str, ...]
    weights: Array
    errors: Array

    def rows(self, names: list[str]) -> Index:
        """Where each name is."""
        return places(self.names, names)


class SeasonalRidge:
    """Weighs the forecasts of `models.seasonal_bases` by ridge regression, for blocks of horizons.

    Weights of a series are drawn towards weights common to all series (a hierarchical prior), the more the fewer origins it has.
    Quantiles are those of the errors made before. Departures are told in scales (see `day_rms`), which makes series comparable.
    Of a series' tuning it takes the half-life of origins and the shrinkage of weights.
    """

    def __init__(self, seed: int = 0, tuning: Mapping[str, Tuning] | None = None) -> None:
        self.name = "seasonal-ridge"
        self.seed = seed
        self._tuning = tuning or {}
        self.fitted = RidgeFit((), np.empty((0, 0, 0)), np.empty((0, 0, 0)))
        self._rhythm = HOURLY

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:  # noqa: ARG002 -- the protocol's arguments
        rhythm = self._rhythm = calendar.rhythm
        names, values, _ = training_grid(history, rhythm)
        self.fitted = fit_ridge(names, values, rhythm, self._tuning)
        return self

    def predict_quantiles(
        self,
        history: pd.DataFrame,
        events: pd.DataFrame,  # noqa: ARG002 -- the protocol's argument
        issue_time: pd.Timestamp,
        horizon: int = HORIZON_HOURS,
    ) -> pd.DataFrame:
        rhythm = self._rhythm
        names, values = grid(history, issue_time, rhythm)
        if not names or not self.fitted.weights.size:
            return no_quantiles(issue_time)
        filled, origin, steps = fill_rows(values, rhythm.day), np.array([rhythm.context]), np.arange(1, horizon + 1)[None, :]
        point, scale = ridge_point(self.fitted, names, filled, origin, steps, rhythm)
        errors = self.fitted.errors[self.fitted.rows(names)][:, _block(steps[0], rhythm)]
        quantiles = within_reach(point[:, 0, :, None] + scale[:, 0, None, None] * errors, values)
        return quantile_frame(names, quantiles, issue_time, lowest(values), rhythm.step)

    def save(self, folder: Path) -> None:
        """Write `ridge.npz`."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "ridge.npz", names=np.array(self.fitted.names, dtype=str), weights=self.fitted.weights, errors=self.fitted.errors)

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote."""
        self._rhythm = calendar.rhythm
        with np.load(folder / "ridge.npz", allow_pickle=False) as told:
            self.fitted = RidgeFit(tuple(map(str, told["names"])), told["weights"], told["errors"])
        return self


@dataclass(frozen=True)
class _Own:
    """What is each series' own.

    Attributes:
        recency: shape (series, origins), how much each origin counts; None when all count alike.
        prior: shape (series, 1, 1), origins that the prior of its weights is worth.
    """

    recency: Array | None
    prior: Array


def fit_ridge(names: list[str], values: Array, rhythm: Rhythm = HOURLY, tuning: Mapping[str, Tuning] | None = None) -> RidgeFit:
    """Weights and error quantiles from `values` (series, steps), NaN where nothing was measured."""
    length, edges = values.shape[1], _edges(rhythm)
    stride = rhythm.stride(rhythm.context // _ORIGINS_IN_CONTEXT)
    origins = np.arange(length - 1, rhythm.shortest - 1, -stride, dtype=np.int64)[:_MOST_ORIGINS][::-1].copy()
    blocks = len(edges)
    weights, errors = np.zeros((len(names) + 1, blocks, len(BASES) - 1)), np.zeros((len(names) + 1, blocks, len(QUANTILES)))
    if not origins.size:
        return RidgeFit(tuple(names), weights, errors)
    filled = fill_rows(values, rhythm.day)
    first = np.argmax(np.isfinite(values), axis=1)
    scale = day_rms(filled, np.array([length]), length, rhythm.day)[:, 0]
    own = _own(names, length - origins, rhythm, tuning or {})
    for block, (start, end) in enumerate(zip((0, *edges), edges, strict=False)):
        horizon = _some_horizons(start, end, origins.size)
        target = origins[:, None] + horizon - 1
        usable = (target < length)[None] & (origins[None, :] - rhythm.shortest >= first[:, None])[:, :, None]
        usable &= np.isfinite(values[:, np.clip(target, 0, length - 1)]) & (scale > 0)[:, None, None]
        weights[:, block], errors[:, block] = _fit_block(filled, scale, origins, horizon, usable, rhythm.day, own)
    return RidgeFit(tuple(names), weights, errors)


def ridge_point(
    fitted: RidgeFit, names: list[str], filled: Array, origins: Index, horizon: Index, rhythm: Rhythm = HOURLY
) -> tuple[Array, Array]:
    """(point forecasts of shape (series, origins, horizons), scales of shape (series, origins)), in the unit of the series."""
    scale = day_rms(filled, origins, rhythm.context, rhythm.day)
    reference, departures = _departures(filled, scale, origins, horizon, rhythm.day)
    weights = fitted.weights[fitted.rows(names)][:, _block(horizon, rhythm)]
    moved: Array = reference + scale[:, :, None] * np.einsum("sohk,sohk->soh", departures, weights)
    return moved, scale


def _own(names: list[str], age: Index, rhythm: Rhythm, tuning: Mapping[str, Tuning]) -> _Own:
    half_life = half_life_days(names, tuning) * rhythm.day
    recency = 0.5 ** (age / half_life[:, None]) if np.isfinite(half_life).any() else None
    return _Own(recency, (_OWN_PRIOR_ORIGINS * shrinkage_odds(names, tuning))[:, None, None])


def _fit_block(filled: Array, scale: Array, origins: Index, horizon: Index, usable: np.ndarray, day: int, own: _Own) -> tuple[Array, Array]:
    """Weights and error quantiles of one block of horizons, (series + 1, ...) each."""
    series, width = filled.shape[0], horizon.shape[1]
    parts = [slice(at, at + _SERIES_AT_ONCE) for at in range(0, series, _SERIES_AT_ONCE)]
    trust = usable.reshape(series, -1).astype(float)
    if own.recency is not None:
        trust *= np.repeat(own.recency, width, axis=1)
    trusted = trust
    weights, common = np.zeros((series, len(BASES) - 1)), np.zeros(len(BASES) - 1)
    left = np.zeros(trusted.shape)
    learnt = [_rows(filled[part], scale[part], origins, horizon, day) for part in parts]
    for _ in range(_PASSES):
        count = np.maximum(trusted.sum(axis=1), 1.0)
        square, cross = np.zeros((series, weights.shape[1], weights.shape[1])), np.zeros_like(weights)
        for part, (x, y) in zip(parts, learnt, strict=True):
            weighed = x * trusted[part, :, None]
            square[part] = np.einsum("sni,snj->sij", weighed, x, optimize=True) / count[part, None, None]
            cross[part] = np.einsum("sni,sn->si", weighed, y, optimize=True) / count[part, None]
        some = trusted.sum(axis=1) > 0
        if not some.any():
            return np.vstack([weights, common]), np.zeros((series + 1, len(QUANTILES)))
        unit = max(float(np.trace(square[some].mean(axis=0))) / len(common), 1e-9) * np.eye(len(common))
        common = np.linalg.solve(square[some].mean(axis=0) + _COMMON_PRIOR * unit, cross[some].mean(axis=0))
        prior = own.prior / np.maximum(count / width, 1.0)[:, None, None] * unit
        weights = np.linalg.solve(square + prior, (cross + (prior @ common))[..., None])[..., 0]
        for part, (x, y) in zip(parts, learnt, strict=True):
            left[part] = y - np.einsum("sni,si->sn", x, weights[part])
        size = np.abs(np.where(usable.reshape(series, -1), left, np.nan))
        trusted = trust * np.minimum(1.0, _HUBER * _typical(size) / np.maximum(np.abs(left), 1e-12))
    seen = np.where(usable.reshape(series, -1), left, np.nan)
    everyone = np.nanquantile(seen, _QUANTILES)
    quantiles = row_quantiles(seen, _QUANTILES) if own.recency is None else weighted_quantiles(left, trust, _QUANTILES)
    quantiles = np.where(np.isfinite(quantiles), quantiles, everyone)
    return np.vstack([weights, common]), np.vstack([quantiles, everyone])


def _typical(size: Array) -> Array:
    """Median of every row, shape (rows, 1); 1 for a row without values."""
    middle = row_quantiles(size, np.array([0.5]))
    found: Array = np.where(np.isfinite(middle), middle, 1.0) + 1e-9
    return found


def _rows(filled: Array, scale: Array, origins: Index, horizon: Index, day: int) -> tuple[Array, Array]:
    """Departures of the bases and of the measured value from the reference, in scales: (series, rows, BASES - 1) and (series, rows)."""
    reference, departures = _departures(filled, np.repeat(scale[:, None], origins.size, axis=1), origins, horizon, day)
    target = np.clip(origins[:, None] + horizon - 1, 0, filled.shape[1] - 1)
    gap = filled[:, target] - reference
    wanted = np.divide(gap, scale[:, None, None], out=np.zeros_like(gap), where=scale[:, None, None] > 0)
    rows = origins.size * horizon.shape[1]
    return departures.reshape(filled.shape[0], rows, -1), np.clip(wanted, -_FARTHEST, _FARTHEST).reshape(filled.shape[0], rows)


def _departures(filled: Array, scale: Array, origins: Index, horizon: Index, day: int) -> tuple[Array, Array]:
    bases = base_forecasts(filled, origins, horizon, day)
    reference = bases[..., 0]
    gap = bases[..., 1:] - reference[..., None]
    unit = scale[:, :, None, None]
    departures = np.divide(gap, unit, out=np.zeros_like(gap), where=unit > 0)
    return reference, np.clip(departures, -_FARTHEST, _FARTHEST)


def _some_horizons(start: int, end: int, origins: int) -> Index:
    """Up to six horizons of the block start + 1 ... end, shape (origins, horizons); other origins take others."""
    every = max(1, (end - start) // 6)
    first = np.arange(origins)[:, None] % every
    return start + 1 + first + every * np.arange((end - start) // every)[None, :]


def _edges(rhythm: Rhythm) -> tuple[int, ...]:
    """Last horizons of the blocks, up to the first that reaches the longest horizon."""
    edges = list(_EDGES)
    while edges[-1] < rhythm.horizon:
        edges.append(2 * edges[-1])
    return tuple(edges[: next(at for at, edge in enumerate(edges) if edge >= rhythm.horizon) + 1])


def _block(horizon: Index, rhythm: Rhythm) -> Index:
    """The block of every horizon; what lies beyond the last block belongs to it."""
    edges = _edges(rhythm)
    found: Index = np.minimum(np.searchsorted(edges, horizon), len(edges) - 1)
    return found


SEASONAL_RIDGE: Final = Declaration("seasonal-ridge", SeasonalRidge, pooled=True, seconds=0.004, default=True)
