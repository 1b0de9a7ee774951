"""The designs that effects of drivers are learnt from and told with: batches of (series, steps, columns) that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.driver_columns import Audience, DriverLayout, driver_columns
from models.driver_regression import Evidence, evidence_of, neighbour_lag
from models.hourly_grid import Array, fill_rows
from models.lag_features import Index
from models.rhythm import Rhythm

__all__ = ["DriverTask", "batches", "demand_scale", "design_of", "steps_until", "usual_demand"]

# Numbers in one batch of designs.
_BATCH: Final = 2_000_000
# Between the first and the last tenth of a normal distribution, in standard deviations.
_DECILES: Final = 2.563

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DriverTask:
    """What is regressed: demand in scales, shape (series, steps), and who is concerned by what."""

    groups: list[Audience]
    layout: DriverLayout
    scaled: Array
    rhythm: Rhythm

    def evidence(
        self, series: Index, columns: Index, prior: Array, block: Index, rho: float | None
    ) -> Iterator[tuple[Index, Array, Evidence]]:
        """(positions of some of `series`, their columns without the shares of the usual, their evidence), batch by batch."""
        lag = neighbour_lag(self.scaled[series], self.rhythm.day)
        usual = usual_demand(self.scaled, 0, self.rhythm) if (columns >= self.layout.width).any() else None
        everyone = np.arange(self.scaled.shape[0])
        for rows, _, plain, missing in batches(self.groups, self.layout, everyone, columns.size, self.rhythm, only=series):
            there = np.isfinite(self.scaled[rows]) & ~missing[:, _covered(missing)].any(axis=1)
            design = design_of(plain, usual[rows] if usual is not None else None, columns, rows.size)
            yield rows, plain, evidence_of(design, self.scaled[rows], there, prior, lag, block, rho)


def batches(
    groups: list[Audience], layout: DriverLayout, row_of: Index, width: int, rhythm: Rhythm, only: Index | None = None
) -> Iterator[tuple[Index, Audience, Array, Mask]]:
    """(positions of series, who they are, their columns, which readings are missing) so that `width` columns of a batch fit into memory.

    Args:
        row_of: row of the layout of every series.
        only: positions that are asked for.
    """
    for group in groups:
        wanted = group.rows if only is None else group.rows[np.isin(group.rows, only)]
        new = row_of[wanted] == len(layout.middle) - 1
        for part in (wanted[~new], wanted[new]):
            if not part.size:
                continue
            plain, missing = driver_columns(layout, group, int(row_of[part[0]]), rhythm.step)
            size = max(1, _BATCH // (len(group.times) * max(width, 1)))
            for first in range(0, part.size, size):
                yield part[first : first + size], group, plain, missing


def design_of(plain: Array, usual: Array | None, columns: Index, series: int) -> Array:
    """Shape (series, steps, columns)."""
    width = plain.shape[1]
    design = np.broadcast_to(plain[:, columns % max(width, 1)], (series, plain.shape[0], columns.size)).copy()
    if usual is not None:
        design[..., columns >= width] *= usual[..., None]
    return design


def demand_scale(values: Array) -> Array:
    """Shape (series,): how far demand usually is from its middle; at least a thousandth of its size, 0 for zeros."""
    if not values.size:
        return np.zeros(len(values))
    low, high = np.nanquantile(values, [0.1, 0.9], axis=1)
    found: Array = np.maximum((high - low) / _DECILES, 0.25 * np.nanstd(values, axis=1))
    return np.asarray(np.maximum(found, 1e-3 * np.nanmean(np.abs(values), axis=1)))


def usual_demand(scaled: Array, ahead: int, rhythm: Rhythm) -> Array:
    """Shape (series, steps + ahead): what is usual at that time of day and on that day of the week, in scales; 0 for a series that was negative.

    Told anew for every context of steps, counted from the end, so that a trend is followed; the last one also tells what lies ahead.
    """
    steps, day = scaled.shape[1], rhythm.day
    found = np.zeros((scaled.shape[0], steps + ahead))
    edges = [*range(steps, rhythm.context // 2, -rhythm.context), 0][::-1]
    for start, end in pairwise(edges):
        until = end + (ahead if end == steps else 0)
        part = fill_rows(scaled[:, start:end], day)
        phase = np.arange(start, until) % day
        week_day = (np.arange(start, until) // day) % 7
        inside = end - start
        by_time = np.column_stack([np.median(part[:, phase[:inside] == at], axis=1) for at in range(day)])[:, phase]
        against = np.divide(part, by_time[:, :inside], out=np.ones_like(part), where=by_time[:, :inside] > 1e-9)
        by_day = np.column_stack([np.median(against[:, week_day[:inside] == at], axis=1) for at in range(7)])[:, week_day]
        found[:, start:until] = by_time * (by_day if inside >= 2 * rhythm.week else 1.0)
    negative = np.asarray(scaled < 0).any(axis=1, keepdims=True)
    return np.where(negative, 0.0, np.maximum(found, 0.0))


def steps_until(end: pd.Timestamp, steps: int, ahead: int, rhythm: Rhythm) -> pd.DatetimeIndex:
    return pd.date_range(end - steps * rhythm.step, periods=steps + ahead, freq=rhythm.step)


def _covered(missing: Mask) -> Mask:
    """Readings that are there about as often as any other; without the others a step can be learnt from."""
    there = (~missing).sum(axis=0)
    often: Mask = there >= there.max(initial=1) / 2
    return often
