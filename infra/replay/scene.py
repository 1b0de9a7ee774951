"""What a replay walks over: recorded demand on one grid of steps, in machines, before and within the replayed time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from infra.replay.world import World

__all__ = ["Array", "Scene", "scene_of"]

Array = npt.NDArray[np.float64]


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
    """

    series: list[str]
    times: pd.DatetimeIndex
    step: pd.Timedelta
    history: Array
    demand: Array
    size: Array

    def before(self, at: int) -> Array:
        """Shape (S, H + at): everything measured before the step `at`."""
        return np.concatenate([self.history, self.demand[:, :at]], axis=1)

    @property
    def day(self) -> int:
        """Steps in a day."""
        return max(1, round(pd.Timedelta(days=1) / self.step))


def scene_of(rows: pd.DataFrame, step: pd.Timedelta, start: pd.Timestamp, end: pd.Timestamp, world: World) -> Scene:
    """The steps from `start` up to `end` (not included), and all before; a step that was not measured repeats the one before.

    Args:
        rows: `unique_id, ds, y` on a grid of `step`, UTC without a zone.

    Raises:
        BadInputError: a negative y, no step between start and end, a series without history before the start, or a size of a machine that is
            missing for a series.
    """
    _check(rows, step, start, end)
    first = rows["ds"].min()
    grid = pd.date_range(start - ((start - first) // step) * step, end - pd.Timedelta(microseconds=1), freq=step, unit="us")
    wide = rows.set_index(["unique_id", "ds"])["y"].unstack("ds")  # noqa: PD010 - every pair is there once
    wide = wide.reindex(columns=grid).sort_index()
    values = wide.ffill(axis=1).to_numpy(dtype=float)
    past = int((grid < start).sum())
    unknown = np.isnan(values[:, :past]).all(axis=1)
    if unknown.any():
        name = wide.index[int(unknown.argmax())]
        raise BadInputError(f"series {name!r} has no measurement before {start}; choose a later --from, or leave the series out")
    values = np.nan_to_num(values, nan=0.0)
    series = [str(name) for name in wide.index]
    size = _sizes(world, series, values[:, :past])
    values = values / size[:, None]
    return Scene(series, grid[past:], step, values[:, :past], values[:, past:], size)


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
