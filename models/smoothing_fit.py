"""Which smoothing parameters, on which scale, forecast each series best at each distance, and how wrong they were."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.vocabulary import QUANTILES
from models.hourly_grid import Array, fill_rows, places
from models.lag_features import Index
from models.last_answer import LastAnswer
from models.log_scale import LogScale
from models.rhythm import HOURLY, Rhythm
from models.smoothing import Gains, Seasons, Smoothing
from models.smoothing_end import SmoothingEnd
from models.smoothing_trial import Trial, error_quantiles, score_choices

__all__ = ["CHOICES", "SmoothingFit", "changing_unit", "fit_smoothing", "on_both_scales", "usual_half_life", "weighed"]

# (day, week) gains; a week of 0 is a model without one. Chosen, as all numbers here, on windows before the test windows of the benchmark.
_SEASONS: Final = ((0.2, 0.15), (0.2, 0.0), (0.5, 0.4), (0.5, 0.0), (0.2, 0.4), (0.05, 0.15), (0.05, 0.0))
_LEVELS: Final = (0.03, 0.0)
_PERSISTENCES: Final = (0.8, 0.97, 0.0)
_GRID: Final = np.array([(level, *season, rest) for season in _SEASONS for level in _LEVELS for rest in _PERSISTENCES])
CHOICES: Final = Gains(*(_GRID[:, at : at + 1] for at in range(4)))
_KEPT: Final = 8
# An origin counts half as much as one that is this much of the context later.
_HALF_LIFE: Final = 1.0
# Weights are the inverse losses to this power, for a series with many origins.
_SHARPNESS: Final = 20.0
# A series' own quantiles of errors weigh as much as those of all when it has this many origins.
_POOLED_ORIGINS: Final = 40.0
_SERIES_AT_ONCE: Final = 32
_NORMAL: Final = np.array([NormalDist().inv_cdf(q) for q in QUANTILES])
# Errors of a fit that could not look at any: in units, and on the logarithmic scale.
_UNKNOWN: Final = 1.0
_UNKNOWN_RATIO: Final = 0.3
_TINY: Final = 1e-12
_LAST: Final = LastAnswer["SmoothingFit"]()


@dataclass(frozen=True)
class SmoothingFit:
    """What was learnt; the first axis is the series, the last entry of it stands for a series that was not there.

    Attributes:
        names: of the series.
        chosen: shape (series + 1, 2, kept), rows of `CHOICES`, of the plain and of the logarithmic scale.
        weights: shape (series + 1, blocks, 2 kept), adding up to 1.
        errors: shape (series + 1, blocks, quantiles), in units (see `changing_unit`).
        ratios: shape (series + 1, blocks, quantiles), errors on the logarithmic scale.
        seasons: shape (series + 1, 2, day + week), mean profiles of the chosen smoothings on both scales, from `end` on; NaN for the series that
            was not there, and for weeks of a series that was too young for them.
        end: end of the last step that was seen.
        ended: where the chosen smoothings ended, of the series alone; at short steps (see `models.smoothing_end`).
    """

    names: tuple[str, ...]
    chosen: Index
    weights: Array
    errors: Array
    ratios: Array
    seasons: npt.NDArray[np.float32]
    end: pd.Timestamp
    ended: SmoothingEnd | None = None

    @cached_property
    def fingerprint(self) -> str:
        """The same for fits that forecast the same, of one training or of its saved files."""
        parts: list[npt.NDArray[Any]] = [self.chosen, self.weights, self.seasons]
        if self.ended is not None:
            parts += [self.ended.state, self.ended.days, self.ended.scale]
        told = hashlib.blake2b(f"{self.names}{self.end.isoformat()}".encode(), digest_size=16)
        for part in parts:
            told.update(part.tobytes())
        return told.hexdigest()

    def rows(self, names: list[str]) -> Index:
        """Where each name is."""
        return places(self.names, names)

    def seasons_from(self, rows: Index, start: pd.Timestamp, scale: LogScale, rhythm: Rhythm) -> Seasons:
        """Seasons of `rows`, first on the plain and then on the logarithmic scale, for values that begin at `start`."""
        late = round((start - self.end) / rhythm.step)
        plain, logged = self.seasons[rows, 0].astype(float), self.seasons[rows, 1].astype(float)
        both = np.concatenate([plain, np.where(scale.applies[:, None], logged, plain)])
        day, week = both[:, : rhythm.day], both[:, rhythm.day :]
        return Seasons(np.roll(day, -late, axis=1).T[:, None], np.roll(week, -late, axis=1).T[:, None])


def fit_smoothing(
    names: list[str], values: Array, end: pd.Timestamp, rhythm: Rhythm = HOURLY, half_life: Array | None = None
) -> SmoothingFit:
    """Choices, weights, error quantiles and seasons from `values` (series, steps) before `end`, NaN where nothing was measured.

    What was learnt last is remembered, because candidates that build on it ask for the same.

    Args:
        half_life: steps, of shape (series,), after which an origin counts half; the usual one for all when not given.
    """
    half_lives = np.full(len(names), usual_half_life(rhythm)) if half_life is None else half_life
    return _LAST.to(_digest(names, values, end, rhythm, half_lives), lambda: _learnt(names, values, end, rhythm, half_lives))


def usual_half_life(rhythm: Rhythm) -> float:
    """Steps after which an origin counts half, when a series is not tuned."""
    return _HALF_LIFE * rhythm.context


def on_both_scales(
    values: Array, scale: LogScale, gains: Gains, origins: Index, horizon: Index, rhythm: Rhythm, start: Seasons | None = None
) -> tuple[Array, Seasons]:
    """(forecasts of shape (origins, horizons, 2 choices, series), seasons at the end): the choices on the plain scale, then on the other.

    Args:
        gains: of shape (choices, 1), or (choices, 2 series) for both scales in turn, as the seasons are.
    """
    series, choices = values.shape[0], gains.level.shape[0]
    smoothing = Smoothing(np.concatenate([values, scale.to(values)]), gains, rhythm, start)
    found = np.empty((origins.size, horizon.size, 2 * choices, series))
    for at, ahead in smoothing.forecasts(origins, horizon):
        found[at, :, :choices] = ahead[..., :series]
        found[at, :, choices:] = scale.back(ahead[..., series:, None])[..., 0]
    return found, smoothing.seasons()


def weighed(forecasts: Array, weights: Array) -> Array:
    """Shape (origins, horizons, series): sums of `forecasts` (origins, horizons, choices, series) by `weights` (series, horizons, choices)."""
    found: Array = np.einsum("ohks,hks->ohs", forecasts, np.ascontiguousarray(weights.transpose(1, 2, 0)))
    return found


def changing_unit(filled: Array, origins: Index, day: int) -> Array:
    """Shape (series, origins): geometric mean of the usual change from day to day, over all steps and over the last two days.

    It tells errors of calm and of busy times in one measure (and is 0 for a constant series).
    """
    change = np.abs(filled[:, day:] - filled[:, :-day])
    total = np.pad(np.cumsum(change, axis=1), ((0, 0), (day + 1, 0)))
    start = np.maximum(origins - max(2 * day, 8), 0)
    lately = (total[:, origins] - total[:, start]) / (origins - start)
    usual = change.mean(axis=1, keepdims=True)
    unit: Array = np.sqrt((lately + 0.1 * usual) * usual)
    return unit


def _digest(names: list[str], values: Array, end: pd.Timestamp, rhythm: Rhythm, half_life: Array) -> str:
    told = hashlib.blake2b(f"{names}{end.isoformat()}{rhythm}{values.shape}".encode(), digest_size=16)
    told.update(values.tobytes())
    told.update(half_life.tobytes())
    return told.hexdigest()


def _learnt(names: list[str], values: Array, end: pd.Timestamp, rhythm: Rhythm, half_life: Array) -> SmoothingFit:
    parts = [slice(at, at + _SERIES_AT_ONCE) for at in range(0, len(names), _SERIES_AT_ONCE)]
    fits = [_fit_part(values[part], rhythm, half_life[part]) for part in parts]
    score, chosen, weights, errors, ratios, seasons, evidence = (
        np.concatenate(column) for column in zip(*(fit[0] for fit in fits), strict=True)
    )
    tried = evidence > 0
    ended = SmoothingEnd.joined([fit[1] for fit in fits], tried)
    mean_score = score[tried].mean(axis=0, keepdims=True) if tried.any() else np.zeros((1, *score.shape[1:]))
    common_choice, common_weights = _best(mean_score)
    chosen, weights = np.concatenate([chosen, common_choice]), np.concatenate([weights, common_weights])
    chosen[:-1][~tried], weights[:-1][~tried] = common_choice[0], common_weights[0]
    own = (evidence / (evidence + _POOLED_ORIGINS))[:, None, None]
    errors, ratios = _shrunk(errors, own, _UNKNOWN * _NORMAL), _shrunk(ratios, own, _UNKNOWN_RATIO * _NORMAL)
    seasons = np.concatenate([seasons, np.full_like(seasons[:1], np.nan)])
    return SmoothingFit(tuple(names), chosen, weights, errors, ratios, seasons, end, ended)


_Part = tuple[Array, Index, Array, Array, Array, npt.NDArray[np.float32], Array]


def _fit_part(values: Array, rhythm: Rhythm, half_life: Array) -> tuple[_Part, SmoothingEnd | None]:
    """((scores of every choice, chosen, weights, error quantiles, ratio quantiles, seasons, evidence), where it ended) of some series."""
    trial, scale = Trial.of(values, rhythm, half_life), LogScale.of(values)
    forecasts, seasons = on_both_scales(values, scale, CHOICES, trial.origins, trial.horizon, rhythm)
    score = score_choices(forecasts, trial)
    chosen, weights = _best(score)
    kept = np.concatenate([chosen[:, 0], chosen[:, 1] + len(_GRID)], axis=1)
    picked = np.take_along_axis(forecasts, kept.T[None, None], axis=2)
    point = weighed(picked, weights[:, trial.block]).transpose(0, 2, 1)
    unit = changing_unit(fill_rows(values, rhythm.day), trial.origins, rhythm.day).T[:, :, None]
    missed = np.divide(trial.truth - point, unit, out=np.zeros_like(point), where=unit > 0)
    ratio = scale.to(trial.truth) - scale.to(point)
    kept_seasons = _mean_seasons(seasons, chosen, weights)
    found = score, chosen, weights, error_quantiles(missed, trial), error_quantiles(ratio, trial), kept_seasons, trial.evidence
    return found, SmoothingEnd.of(seasons, chosen, scale, rhythm)


def _mean_seasons(seasons: Seasons, chosen: Index, weights: Array) -> npt.NDArray[np.float32]:
    """Shape (series, 2, day + week): means over the chosen smoothings, the week over those that have one, NaN where none of them has begun."""
    series, _, kept = chosen.shape
    rows = chosen.transpose(2, 1, 0).reshape(1, kept, -1)
    share = weights.mean(axis=1).reshape(series, 2, kept).transpose(2, 1, 0).reshape(kept, -1)
    day = np.take_along_axis(seasons.day, rows, axis=1)
    week = np.take_along_axis(seasons.week, rows, axis=1)
    weekly = share * (week != 0).any(axis=0)
    usual_day = np.einsum("tkr,kr->tr", day, share / share.sum(axis=0))
    total = weekly.sum(axis=0)
    usual_week = np.where(total > 0, np.einsum("tkr,kr->tr", week, weekly / np.where(total > 0, total, 1.0)), np.nan)
    found = np.concatenate([usual_day, usual_week]).reshape(-1, 2, series).transpose(2, 1, 0)
    return found.astype(np.float32)


def _best(score: Array) -> tuple[Index, Array]:
    """(choices kept on each scale, their weights), of shape (series, 2, kept) and (series, blocks, 2 kept)."""
    series, blocks, choices = score.shape
    weight = np.exp(-_SHARPNESS * (score - score.min(axis=2, keepdims=True)))
    weight /= weight.sum(axis=2, keepdims=True)
    by_scale = weight.sum(axis=1).reshape(series, 2, choices // 2)
    chosen = np.argsort(-by_scale, axis=2, kind="stable")[:, :, :_KEPT]
    kept = np.take_along_axis(weight.reshape(series, blocks, 2, -1), chosen[:, None], axis=3).reshape(series, blocks, -1) + _TINY
    return chosen, kept / kept.sum(axis=2, keepdims=True)


def _shrunk(own: Array, trust: Array, unknown: Array) -> Array:
    """Quantiles of each series drawn towards the typical shape at its own width; the last row is the typical one."""
    width = np.abs(own).mean(axis=(1, 2), keepdims=True)
    known = np.isfinite(width[:, 0, 0])
    if not known.any():
        return np.broadcast_to(unknown, (own.shape[0] + 1, *own.shape[1:])).copy()
    shape = np.median(own[known] / np.maximum(width[known], _TINY), axis=0)
    everyone = shape * np.median(width[known])
    drawn = np.where(known[:, None, None], trust * own + (1 - trust) * shape * width, everyone)
    return np.concatenate([drawn, everyone[None]])
