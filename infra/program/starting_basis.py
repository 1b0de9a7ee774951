"""Where the simplex method starts when there is no earlier plan: every block's newsvendor plan, which ignores starts and common limits.

Without these a block's best plan is known: a band is held hot, warm or not at all by its price and worth alone. Written as a basis of the whole
program it is dual feasible but for starts, so the dual simplex method only has to repair what starts and limits change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.program.coverage import Coverage, machines_for
from infra.program.layout import ABSENT, Layout
from infra.program.problem import BoolArray, FloatArray, IntArray, Problem

__all__ = ["BASIC", "LOWER", "UPPER", "Basis", "starting_basis"]

LOWER, BASIC, UPPER = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Basis:
    """Status of every column (LOWER, BASIC or UPPER) and row (BASIC, or UPPER: tight)."""

    columns: IntArray
    rows: IntArray


def starting_basis(problem: Problem, coverage: Coverage, layout: Layout) -> Basis:
    """The basis of the plan that gives each place and block what its first option alone would hold there."""
    first = np.unique(problem.option_place, return_index=True)[1]
    size = coverage.size[first][:, None, :]
    hours = problem.block_hours
    machines = machines_for(coverage.need, coverage.size[first])
    hot_usd, warm_usd = (
        (price[first] * hours)[:, :, None] * np.where(machines > 0, machines, 1.0) for price in (problem.hot_price, problem.warm_price)
    )
    weight = coverage.weight
    hot = (weight[0] > hot_usd - warm_usd) & (weight[0] + weight[1] > hot_usd)
    warm = hot | (weight[1] > warm_usd)
    columns, rows = np.full(layout.columns, LOWER), np.full(layout.rows, BASIC)
    for tier, filled in enumerate((hot, warm, np.ones_like(hot))):
        cover = layout.cover[tier]
        columns[cover[(cover >= 0) & filled]] = UPPER
        tight = _scarcest_row(coverage, layout, tier, filled, size)
        pool = (layout.hot, layout.warm, layout.cold)[tier][first]
        both = (tight >= 0) & (pool >= 0)
        columns[pool[both]] = BASIC
        rows[tight[both]] = UPPER
    held = np.zeros(problem.hot_price.shape)
    held[first] = (machines * hot).sum(axis=2)
    rises = (layout.starts >= 0) & (np.diff(held, axis=1, prepend=problem.held[:, None]) > 0)
    columns[layout.starts[rises]] = BASIC
    rows[layout.start[rises]] = UPPER
    return Basis(columns, rows)


def _scarcest_row(coverage: Coverage, layout: Layout, tier: int, filled: BoolArray, size: FloatArray) -> IntArray:
    """(D, T) the capacity row of the resource of which the filled bands take the most machines."""
    rows = layout.capacity[tier]
    with np.errstate(divide="ignore", invalid="ignore"):
        machines = (coverage.need * filled[..., None]).sum(axis=2) / size
    machines = np.where((rows >= 0) & (size > 0), machines, ABSENT)
    result: IntArray = np.take_along_axis(rows, machines.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    return result
