"""What a series may learn from those beside it: how far the others lie from what they usually do, and which of them are of its kind.

Every departure is in the scale of its own series, so that the mean of the others says where a region's total goes whatever the size of its parts,
and some series that are missing move it little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from headroom.vocabulary import SeriesId
from models.hourly_grid import Array

__all__ = ["DEPARTURES", "others_departures", "part_codes", "part_names", "scopes"]

# Columns of `models.lag_features.ORIGIN_COLUMNS` that are looked at.
DEPARTURES: Final = ("last3_vs_day", "last3_vs_week", "last6_vs_day", "day_vs_day", "day_vs_week")
_ALL: Final = "others"
_REGION: Final = "region"
# A series that hardly ever moves is not to speak for all of them when it does.
_FARTHEST: Final = 10.0


def scopes(names: Sequence[str]) -> tuple[str, ...]:
    """Among whom to look: all series and, where names have parts, those with the same first part, their region. A single series has no others."""
    if len(names) < 2:
        return ()
    return (_ALL, _REGION) if any("/" in name for name in names) else (_ALL,)


def others_departures(departures: Array, names: Sequence[str], scope: str) -> Array:
    """Mean of the departures of the other series of the scope, in the shape of `departures`; 0 for a series that has none.

    Args:
        departures: shape (series, ...), in the scale of each series; NaN where it has none.
    """
    held = np.clip(departures, -_FARTHEST, _FARTHEST)
    known = np.isfinite(held)
    held = np.where(known, held, 0.0)
    group = pd.factorize(np.array([name.split("/")[0] if scope == _REGION else "" for name in names]))[0]
    order = np.argsort(group, kind="stable")
    start = np.searchsorted(group[order], np.arange(int(group.max(initial=-1)) + 1))
    total, count = (np.add.reduceat(of[order], start, axis=0)[group] for of in (held, known.astype(np.int64)))
    others = count - known
    mean: Array = np.divide(total - held, others, out=np.zeros_like(held), where=others > 0)
    return mean


def part_names(names: Sequence[str]) -> tuple[str, ...]:
    """What the parts of the names are called; none where all names have one part, which says no more than the name."""
    parts = max((name.count("/") + 1 for name in names), default=1)
    if parts == len(SeriesId._fields):
        return SeriesId._fields
    return tuple(f"part {at}" for at in range(1, parts + 1)) if parts > 1 else ()


def part_codes(names: Sequence[str], part: int, known: Sequence[str]) -> Array:
    """A number for every part that names of `known` have in this place, by its first appearance; NaN for another one, and where there is none."""
    codes: dict[str, float] = {}
    for name in known:
        if name.count("/") >= part:
            codes.setdefault(name.split("/")[part], float(len(codes)))
    return np.array([codes.get(name.split("/")[part], np.nan) if name.count("/") >= part else np.nan for name in names])
