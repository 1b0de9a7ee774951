"""What events and readings do to every series at any step, and how uncertain that is; `models.driver_learning` learns it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.driver_columns import EVENT_WIDTH, READING_WIDTH, Audience, DriverLayout, audiences, unknown_coverage
from models.driver_design import batches, demand_scale, design_of, steps_until, usual_demand
from models.driver_regression import Posterior
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array
from models.lag_features import Index
from models.rhythm import Rhythm

__all__ = ["DriverEffects", "Told"]

_FILE: Final = "drivers.npz"
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Told:
    """Effects at steps, in the unit of the series.

    Attributes:
        effect: shape (series, steps).
        deviation: shape (series, steps ahead), the standard deviation of the last of them, which lie ahead.
    """

    effect: Array
    deviation: Array


@dataclass(frozen=True)
class DriverEffects:
    """What was learnt. The first axis of arrays is the series; the last entry stands for a series that was not there.

    Attributes:
        names: of the series.
        layout: of the columns.
        columns: columns in use; from `layout.width` on they are shares of the usual.
        scale: shape (series,), unit of the weights.
        posterior: weights of the columns in use.
        scatter: shape (kinds,), how much occurrences of a kind differ among themselves, in scales; NaN for a kind that was never seen.
        unknown: what an event of a kind that was never seen may do, in scales.
    """

    names: tuple[str, ...]
    layout: DriverLayout
    columns: Index
    scale: Array
    posterior: Posterior
    scatter: Array
    unknown: float

    @cached_property
    def fingerprint(self) -> str:
        """The same for effects that say the same of every history, of one training or of its saved files."""
        told, layout = hashlib.blake2b(digest_size=16), self.layout
        told.update(repr((self.names, layout.kinds, layout.readings, self.unknown)).encode())
        ranges = (layout.middle, layout.spread, layout.low, layout.high)
        for part in (*ranges, self.columns, self.scale, self.scatter, self.posterior.weights, self.posterior.covariance):
            told.update(np.ascontiguousarray(part).tobytes())
        return told.hexdigest()

    def at(
        self, names: list[str], values: Array, end: pd.Timestamp, ahead: int, events: pd.DataFrame, calendar: SeriesCalendar
    ) -> Told | None:
        """Effects at the steps of `values` and the `ahead` steps after them; None where no row of `events` concerns any series.

        Args:
            values: shape (series, steps), demand up to `end`; decides what is usual, for effects that are shares of it.
        """
        rhythm = calendar.rhythm
        times = steps_until(end, values.shape[1], ahead, rhythm)
        groups = audiences(events, names, times, calendar, self.layout.readings)
        if not groups:
            return None
        place = {name: row for row, name in enumerate(self.names)}
        row_of = np.array([place.get(name, len(self.names)) for name in names])
        scale = np.append(self.scale, 0.0)[row_of]
        new = row_of == len(self.names)
        scale[new] = demand_scale(values[new])
        known = [kind for kind, scatter in zip(self.layout.kinds, self.scatter, strict=True) if np.isfinite(scatter)]
        effect, variance = np.zeros((len(names), len(times))), np.zeros((len(names), ahead))
        shares = (self.columns >= self.layout.width).any()
        usual = usual_demand(values / np.where(scale > 0, scale, 1.0)[:, None], ahead, rhythm) if shares else None
        for rows, group, plain, missing in batches(groups, self.layout, row_of, self.columns.size, rhythm):
            own = row_of[rows]
            design = design_of(plain, usual[rows] if usual is not None else None, self.columns, rows.size)
            effect[rows] = np.matmul(design, self.posterior.weights[own][..., None])[..., 0]
            if not ahead:
                continue
            future = design[:, values.shape[1] :]
            moved = np.matmul(future, self.posterior.covariance[own])
            variance[rows] = np.einsum("ntk,ntk->nt", moved, future) + self._beside(plain, missing, group, known, rhythm)[values.shape[1] :]
        size = scale[:, None]
        return Told(effect * size, np.sqrt(np.maximum(variance, 0.0)) * size)

    def _beside(self, plain: Array, missing: Mask, group: Audience, known: list[str], rhythm: Rhythm) -> Array:
        """Shape (steps,): variance that is not of the weights: of single occurrences, of unknown kinds, of readings that are not there."""
        unseen = unknown_coverage(known, group, rhythm.step) if len(group.events) else np.zeros(len(group.times))
        found = (self.unknown * unseen) ** 2
        for at, scatter in enumerate(np.nan_to_num(self.scatter)):
            found = found + (scatter * np.minimum(plain[:, at * EVENT_WIDTH], 1.0)) ** 2
        common = self.posterior.weights[-1]
        for at in range(len(self.layout.readings)):
            first = len(self.layout.kinds) * EVENT_WIDTH + at * READING_WIDTH
            straight = common[np.isin(self.columns, [first, first + self.layout.width])]
            found = found + missing[:, at] * float((straight**2).sum())
        return np.asarray(found)

    def save(self, folder: Path) -> None:
        """Write `drivers.npz`."""
        folder.mkdir(parents=True, exist_ok=True)
        layout = self.layout
        np.savez(
            folder / _FILE,
            names=np.array(self.names, dtype=str),
            kinds=np.array(layout.kinds, dtype=str),
            readings=np.array(layout.readings, dtype=str),
            **{part: getattr(layout, part) for part in ("middle", "spread", "low", "high")},
            **{part: getattr(self, part) for part in ("columns", "scale", "scatter", "unknown")},
            weights=self.posterior.weights,
            covariance=self.posterior.covariance,
        )

    @staticmethod
    def forget(folder: Path) -> None:
        """Remove what an earlier `save` wrote."""
        (folder / _FILE).unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path) -> DriverEffects | None:
        """Read what `save` wrote; None when nothing was learnt."""
        if not (folder / _FILE).is_file():
            return None
        with np.load(folder / _FILE, allow_pickle=False) as told:
            kinds, readings = (tuple(map(str, told[part])) for part in ("kinds", "readings"))
            layout = DriverLayout(kinds, readings, told["middle"], told["spread"], told["low"], told["high"])
            learnt = Posterior(told["weights"], told["covariance"])
            return cls(
                tuple(map(str, told["names"])), layout, told["columns"], told["scale"], learnt, told["scatter"], float(told["unknown"])
            )
