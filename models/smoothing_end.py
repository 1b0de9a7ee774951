"""Where the smoothings of a fit ended: what a forecast at short steps goes on from, so that it need not smooth weeks of minutes again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from models.hourly_grid import Array
from models.lag_features import Index
from models.log_scale import LogScale
from models.rhythm import Rhythm
from models.smoothing import Last, Seasons, unseasoned

__all__ = ["SmoothingEnd"]


@dataclass(frozen=True)
class SmoothingEnd:
    """Of every series of a fit. It is kept only where a fit is too short for seasons of the week: at steps of about five minutes and less.

    Attributes:
        state: shape (series, 2, kept, 4), level, last error, usual departure and steps measured of the chosen smoothings on both scales.
        days: shape (series, 2, kept, day), their seasons of the day from the end on.
        scale: shape (series, 3), offset and top of the logarithmic scale, and 1 where it applies.
    """

    state: Array
    days: npt.NDArray[np.float32]
    scale: Array

    @classmethod
    def of(cls, seasons: Seasons, chosen: Index, scale: LogScale, rhythm: Rhythm) -> Self | None:
        """The end of a pass over all choices, of those `chosen` (series, 2, kept)."""
        if seasons.last is None or rhythm.training > unseasoned(rhythm):
            return None
        series, _, kept = chosen.shape
        rows = chosen.transpose(2, 1, 0).reshape(kept, -1)
        last = seasons.last
        seen = np.broadcast_to(last.seen, last.level.shape)
        numbers = [np.take_along_axis(part, rows, axis=0) for part in (last.level, last.error, last.spread, seen)]
        days = np.take_along_axis(seasons.day, rows[None], axis=1)
        state = np.stack(numbers, axis=-1).reshape(kept, 2, series, 4).transpose(2, 1, 0, 3)
        profiles = days.reshape(-1, kept, 2, series).transpose(3, 2, 1, 0).astype(np.float32)
        return cls(state, profiles, np.stack([scale.offset, scale.top, scale.applies.astype(float)], axis=1))

    @classmethod
    def joined(cls, parts: Sequence[Self | None], usable: npt.NDArray[np.bool_]) -> Self | None:
        """The ends of all series, in turn, those not `usable` forgotten; None when a part was not kept."""
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        state, scale = (np.concatenate([getattr(part, name) for part in known]) for name in ("state", "scale"))
        state[~usable] = 0.0
        return cls(state, np.concatenate([part.days for part in known]), scale)

    @property
    def begun(self) -> npt.NDArray[np.bool_]:
        """Shape (series,): which have an end to go on from."""
        begun: npt.NDArray[np.bool_] = self.state[:, 0, 0, 3] > 0
        return begun

    def scale_of(self, rows: Index) -> LogScale:
        """The scale on which `rows` were smoothed."""
        offset, top, applies = self.scale[rows].T
        return LogScale(offset, top, applies > 0)

    def start(self, rows: Index, rhythm: Rhythm) -> Seasons:
        """What the smoothings of `rows` go on from, first on the plain and then on the logarithmic scale."""
        both = self.state[rows].transpose(3, 2, 1, 0).reshape(4, self.state.shape[2], -1)
        days = self.days[rows].transpose(3, 2, 1, 0).reshape(rhythm.day, self.state.shape[2], -1).astype(float)
        return Seasons(days, np.full((rhythm.week, 1, days.shape[2]), np.nan), Last(both[0], both[1], both[2], both[3, 0]))
