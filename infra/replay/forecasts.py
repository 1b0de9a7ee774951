"""Forecasts as issued: what was said at every issue time about the steps after it, in machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.input_table import read_input_table
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from infra.forecast_check import first_crossing
from infra.replay.scene import Array, Scene

__all__ = ["Issued", "bands", "issued_from", "read_issued", "row_interp", "shortage"]

_LEVELS: Final = np.array([0.0, *QUANTILES])
# Chance that demand reaches into the band below each quantile, and into the tail above the last one.
_REACH: Final = np.append(1 - (_LEVELS[:-1] + _LEVELS[1:]) / 2, (1 - _LEVELS[-1]) / 2)
_TAIL_LEVELS: Final = (0.95, 0.99)


@dataclass(frozen=True, eq=False)
class Issued:
    """Forecasts of the series of a scene.

    Attributes:
        at: shape (I,), the replayed step at which each was issued, ascending; the first may be negative (before the replay).
        values: shape (I, S, horizon, quantiles of `headroom.vocabulary`), machines, finite, not below zero, not crossing.
        missing: series that were never forecast, for which the values repeat what was measured last.
    """

    at: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    missing: tuple[str, ...] = ()

    @property
    def horizon(self) -> int:
        return int(self.values.shape[2])

    def newest(self, step: int) -> Array | None:
        """Shape (S, n, quantiles) for the steps from `step` on, of the newest forecast issued by then; None when it no longer reaches there."""
        number = int(np.searchsorted(self.at, step, side="right")) - 1
        if number < 0:
            return None
        left = self.values[number][:, step - int(self.at[number]) :]
        return left.astype(float) if left.shape[1] else None


def issued_from(scene: Scene, series: Sequence[str], issue_times: Sequence[pd.Timestamp], values: npt.NDArray[np.float32]) -> Issued:
    """Forecasts in units of y, brought to the machines of the scene; a series that was not forecast gets its last value, as sure as can be.

    Raises:
        BadInputError: when an issue time is off the grid of the scene.
    """
    offsets = np.array([(moment - scene.times[0]) / scene.step for moment in issue_times])
    at = np.round(offsets).astype(np.int64)
    if len(at) and np.abs(offsets - at).max() > 1e-9:
        raise BadInputError(f"issue time {issue_times[int(np.abs(offsets - at).argmax())]}: not on the steps of the replay ({scene.step})")
    order = np.argsort(at, kind="stable")
    places = {name: number for number, name in enumerate(series)}
    known = np.array([places.get(name, -1) for name in scene.series])
    taken = values[order][:, np.maximum(known, 0)] / scene.size[None, :, None, None].astype(np.float32)
    taken[:, known < 0] = np.nan
    taken = np.maximum.accumulate(np.maximum(taken, 0.0), axis=3)
    every = scene.before(len(scene.times))
    last = every[:, np.clip(scene.history.shape[1] + at[order] - 1, 0, every.shape[1] - 1)].T
    bare = np.isnan(taken).any(axis=(2, 3))
    taken[bare] = last[bare][:, None, None]
    return Issued(at[order], taken.astype(np.float32), tuple(name for name in scene.series if name not in places))


def read_issued(path: Path, scene: Scene) -> Issued:
    """Forecasts of a Parquet or CSV file: `unique_id, cutoff, ds` and the quantile columns, as `headroom backtest` writes them.

    Raises:
        BadInputError: the file is not readable, a column is missing, a cell is no time or no finite number, quantiles cross, a time is before
            its cutoff, off the grid or there twice, an issue time has fewer steps than another, or nothing is for this replay.
    """
    table = read_input_table(path, "--forecasts")
    table.require(["unique_id", "cutoff", "ds", *QUANTILE_COLUMNS])
    told = {"unique_id": table.texts("unique_id"), "cutoff": table.times("cutoff"), "ds": table.times("ds")}
    rows = pd.DataFrame({**told, **{name: table.numbers(name) for name in QUANTILE_COLUMNS}})
    rows = rows[rows["unique_id"].isin(scene.series)].sort_values(["cutoff", "unique_id", "ds"], ignore_index=True)
    if rows.empty:
        raise BadInputError(f"{table.what}: no row is of a series of the input, for example {scene.series[0]!r}")
    bad = rows[list(QUANTILE_COLUMNS)].isna().any(axis=1)
    if bad.any():
        row = rows[bad].iloc[0]
        raise BadInputError(f"{table.what}: {row['unique_id']} issued {row['cutoff']} for {row['ds']} holds no finite number")
    quantiles = rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)
    if crossing := first_crossing(quantiles):
        row, (at, level) = rows.iloc[crossing[0]], crossing
        raise BadInputError(
            f"{table.what}: {row['unique_id']} issued {row['cutoff']} for {row['ds']}: quantile {QUANTILE_COLUMNS[level]} is "
            f"{quantiles[at, level]:g}, below quantile {QUANTILE_COLUMNS[level - 1]}, {quantiles[at, level - 1]:g}; quantiles must not cross"
        )
    times, series = np.unique(rows["cutoff"].to_numpy()), sorted(rows["unique_id"].unique())
    steps = (rows["ds"] - rows["cutoff"]).to_numpy() / scene.step.to_timedelta64()
    ahead = np.round(steps).astype(int)
    off = (ahead < 0) | (np.abs(steps - ahead) > 1e-9) | rows.duplicated(["unique_id", "cutoff", "ds"]).to_numpy()
    if off.any():
        row = rows[off].iloc[0]
        raise BadInputError(
            f"{table.what}: {row['unique_id']} issued {row['cutoff']} for {row['ds']}: expected whole steps of {scene.step} from the "
            "cutoff on, each once"
        )
    horizon = int(ahead.max()) + 1
    values = np.full((len(times), len(series), horizon, len(QUANTILE_COLUMNS)), np.nan, dtype=np.float32)
    places = (np.searchsorted(times, rows["cutoff"].to_numpy()), np.searchsorted(np.array(series, dtype=object), rows["unique_id"]))
    values[places[0], places[1], ahead] = rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float32)
    whole = ~np.isnan(values).any(axis=(2, 3))
    if not whole.all():
        at, who = (int(place[0]) for place in np.nonzero(~whole))
        raise BadInputError(f"{table.what}: {series[who]} issued {times[at]} lacks steps; every issue time needs {horizon} of every series")
    return issued_from(scene, series, [pd.Timestamp(moment) for moment in times], values)


def bands(quantiles: Array) -> tuple[Array, Array]:
    """Widths of the bands of demand between neighbouring quantiles, machines, and the chance that demand reaches into each: (..., Q + 1) both.

    The first band begins at 0. Above the last quantile demand is taken to fall off exponentially, with the scale that the two last quantiles
    show: one more band, twice that scale wide, which holds as much expected demand as the whole tail.
    """
    scale = (quantiles[..., -1:] - quantiles[..., -2:-1]) / np.log((1 - _TAIL_LEVELS[0]) / (1 - _TAIL_LEVELS[1]))
    width = np.concatenate([quantiles[..., :1], np.diff(quantiles, axis=-1), 2 * scale], axis=-1)
    return width, np.broadcast_to(_REACH, width.shape)


def shortage(quantiles: Array, capacity: Array) -> Array:
    """Expected demand above each capacity, machines: shape (..., N) for quantiles (..., Q) and capacities (N,).

    The chance that demand reaches into a band (see `bands`) is one minus the middle of its levels, the same in the whole band, as in the program.
    """
    width, reach = bands(quantiles)
    zero = np.zeros_like(width[..., :1])
    edges = np.concatenate([zero, np.cumsum(width, axis=-1)], axis=-1)
    # The sum over bands of reach x what of the band lies above the capacity is a piecewise linear function: its values at the edges, then lines.
    above = np.concatenate([np.cumsum((width * reach)[..., ::-1], axis=-1)[..., ::-1], zero], axis=-1)
    rows, kinds = int(np.prod(quantiles.shape[:-1])), edges.shape[-1]
    asked = np.broadcast_to(capacity, (rows, len(capacity)))
    found = row_interp(asked, edges.reshape(rows, kinds), above.reshape(rows, kinds))
    return found.reshape(*quantiles.shape[:-1], len(capacity))


def row_interp(x: Array, xp: Array, fp: Array) -> Array:
    """`np.interp` row by row, shape of `x` (R, M), for points `xp, fp` of shape (R, K), `xp` ascending, neither below 0; flat beyond the ends.

    One call interpolates all rows: they are laid end to end on one axis.
    """
    held = np.clip(x, xp[:, :1], xp[:, -1:])
    offset = (np.arange(len(xp)) * (float(xp.max(initial=0.0)) + 1.0))[:, None]
    return np.interp((held + offset).ravel(), (xp + offset).ravel(), fp.ravel()).reshape(x.shape)
