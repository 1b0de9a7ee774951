"""The optimal plan's rows of services that may run on several machine types: a row per hour and type that the plan uses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from infra.policies.machine_options import Options
from infra.policies.plan_lines import Array

__all__ = ["parts_of_need", "rows_by_type"]


def rows_by_type(rows: pd.DataFrame, options: Options, place: npt.NDArray[np.int64], *, values: dict[str, Array]) -> pd.DataFrame:
    """`rows` (one per line and hour, those of a place in order of time) with the columns of `values`, and further rows below them.

    A line's own row has the numbers of its place's first option. A further option has rows of its own, with the same labels, when it is in
    use in any hour: `hot`, `warm` or `cold` above 0, or some are leased.

    Args:
        place: per row of `rows`, -1 for what is in no place; such rows stay as they are.
        values: column -> (M, T).
    """
    hours = next(iter(values.values())).shape[1]
    own, block = place >= 0, np.tile(np.arange(hours), len(place) // hours)
    first = rows.copy()
    for column, numbers in values.items():
        first.loc[own, column] = numbers[options.first[place[own]], block[own]]
    used = np.asarray(((values["hot"] + values["warm"] + values["cold"] > 0) | (values["leased"] != 0)).any(axis=1))
    used[options.first] = False
    further = [
        rows[place == options.place[option]].assign(
            **{column: numbers[option] for column, numbers in values.items()}, machine_type=options.name[option], first_type=False
        )
        for option in np.flatnonzero(used)
    ]
    return pd.concat([first, *further]) if further else first


def parts_of_need(options: Options, asked: Array, held: Array, needed: Array, minimum: Array) -> Array:
    """(M, T) whole machines: each option's part of what its place needs, so that together they carry it.

    A further option's part is what it serves of it, and the first's what is left: as many as carry the resource that then binds, and with
    the others no fewer than the minimum.

    Args:
        asked: (D, T, R) the need. held: (M, T) machines, those to be bought included. needed: (D, T) the need in machines of the first option alone. minimum: (D,).
    """
    parts = np.zeros(held.shape)
    parts[options.first] = needed
    for place in np.flatnonzero(options.several):
        left = asked[place].copy()
        first, *others = np.flatnonzero(options.place == place)
        for option in others:
            parts[option] = np.minimum(held[option], _machines(left, options.size[option]))
            left = np.clip(left - parts[option][:, None] * options.size[option], 0.0, None)
        there = parts[others].sum(axis=0)
        rest = np.maximum(_machines(left, options.size[first]), minimum[place] - there)
        parts[first] = np.where(there > 0, rest, needed[place])
    return parts


def _machines(amount: Array, size: Array) -> Array:
    """(T,) whole machines that carry `amount` (T, R)."""
    used = size > 0
    found: Array = np.ceil((amount[:, used] / size[used]).max(axis=1) - 1e-9) + 0.0  # no negative zero
    return found
