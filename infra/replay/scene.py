"""What a replay walks over: recorded demand on one grid of steps, in machines, before and within the replayed time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from infra.replay.world import World

__all__ = ["Array", "Scene", "scene_of"]

Array = npt.NDArray[np.float64]

# Of the replayed steps of a series at least this share was measured: what repeats its last measurement for longer is nobody's demand.
_MEASURED: Final = 0.5


@dataclass(frozen=True, eq=False)
class Scene:
    """Demand of S series.

    Attributes:
        series: their ids, sorted.
        times: the T replayed steps, UTC without a zone.
        step: length of a step.
        history: shape (S, H), machines, the steps before the first replayed one.
        demand: shape (S, T), machines.
        size: shape (S,), units of y per machine.
        left_out: series of the input that are not replayed, and why.
    """

    series: list[str]
    times: pd.DatetimeIndex
    step: pd.Timedelta
    history: Array
    demand: Array
    size: Array
    left_out: Mapping[str, str] = field(default_factory=dict)

    def before(self, at: int) -> Array:
        """Shape (S, H + at): everything measured before the step `at`."""
        return np.concatenate([self.history, self.demand[:, :at]], axis=1)

    @property
    def day(self) -> int:
        """Steps in a day."""
        return max(1, round(pd.Timedelta(days=1) / self.step))


def scene_of(rows: pd.DataFrame, step: pd.Timedelta, start: pd.Timestamp, end: pd.Timestamp, world: World) -> Scene:
    """The steps from `start` up to `end` (not included), and all before; a step that was not measured repeats the one before.

    A series that was never measured before the start, or in less than half of the replayed steps, is left out.

    Args:
        rows: `unique_id, ds, y` on a grid of `step`, UTC without a zone.

    Raises:
        BadInputError: a negative y, no step between start and end, no series that can be replayed, or a size of a machine that is missing for
            a series.
    """
    _check(rows, step, start, end)
    first = rows["ds"].min()
    grid = pd.date_range(start - ((start - first) // step) * step, end - pd.Timedelta(microseconds=1), freq=step, unit="us")
    wide = rows.set_index(["unique_id", "ds"])["y"].unstack("ds")  # noqa: PD010 - every pair is there once
    wide = wide.reindex(columns=grid).sort_index()
    past = int((grid < start).sum())
    left_out = _left_out(wide, past)
    if len(left_out) == len(wide):
        name, why = next(iter(left_out.items()))
        raise BadInputError(f"no series can be replayed from {start} to {end}: {name!r} has {why}; choose other times with --from and --to")
    wide = wide.drop(index=list(left_out))
    values = np.nan_to_num(wide.ffill(axis=1).to_numpy(dtype=float), nan=0.0)
    series = [str(name) for name in wide.index]
    size = _sizes(world, series, values[:, :past])
    values = values / size[:, None]
    return Scene(series, grid[past:], step, values[:, :past], values[:, past:], size, left_out)


def _left_out(wide: pd.DataFrame, past: int) -> dict[str, str]:
    """Series that cannot be replayed, and why; `past` columns lie before the start."""
    there = wide.notna().to_numpy()
    unknown, share = ~there[:, :past].any(axis=1), there[:, past:].mean(axis=1)
    why = np.where(unknown, "no measurement before the start", [f"measurements in {part:.0%} of the steps" for part in share])
    bad = unknown | (share < _MEASURED)
    return dict(zip(wide.index[bad].astype(str), why[bad].tolist(), strict=True))


def _check(rows: pd.DataFrame, step: pd.Timedelta, start: pd.Timestamp, end: pd.Timestamp) -> None:
    if (rows["y"] < 0).any():
        row = rows[rows["y"] < 0].iloc[0]
        raise BadInputError(f"series {row['unique_id']!r} at {row['ds']}: demand {row['y']:g} is below zero; leave the series out")
    off = (rows["ds"] - start).to_numpy() % step.to_timedelta64() != np.timedelta64(0)
    if off.any():
        row = rows[off].iloc[0]
        raise BadInputError(
            f"series {row['unique_id']!r} at {row['ds']} is not whole steps of {step} from {start}; bring all series to one grid"
        )
    if not start < end:
        raise BadInputError(f"--from {start} is not before --to {end}")
    last = rows["ds"].max()
    if not ((rows["ds"] >= start) & (rows["ds"] < end)).any() or end - last > pd.Timedelta(days=1):
        raise BadInputError(
            f"--from {start} --to {end}: the input ends at {last} and starts at {rows['ds'].min()}; replay a time within it"
        )


def _sizes(world: World, series: list[str], history: Array) -> Array:
    told = world.units_per_machine
    if told is None:
        peak = history.max(axis=1)
        return np.where(peak > 0, peak, 1.0) / world.machines_at_peak
    if isinstance(told, dict):
        if missing := [name for name in series if name not in told]:
            raise BadInputError(f"units_per_machine: series {missing[0]!r} is missing; give a number for it, or one number for all")
        return np.array([told[name] for name in series], dtype=float)
    return np.full(len(series), float(told))
