"""The program as one sparse matrix: min cost x + offset, matrix x <= limit, lower <= x <= upper."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from infra.program.coverage import Coverage
from infra.program.layout import ABSENT, Layout
from infra.program.problem import BoolArray, FloatArray, IntArray, Problem

__all__ = ["Program", "build_program"]


@dataclass(frozen=True, eq=False)
class Program:
    """Arrays of the linear program; every row is `<= row_upper`. `matrix` is column-wise (scipy csc_array)."""

    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    row_upper: FloatArray
    matrix: sparse.csc_array
    offset: float


def build_program(problem: Problem, coverage: Coverage, layout: Layout) -> Program:
    """The program of a problem, by whole arrays (no loop over rows)."""
    machines = _largest(coverage.need)
    needed = machines > 0
    # The cover column of a band counts machines of the place's largest option: 0 to this; 1 where the band needs nothing. A place with one
    # option so has a matrix of ones: when its demand changes, only bounds and costs change.
    scale = np.where(needed, machines, 1.0)
    entries = _Entries()
    _capacity_rows(entries, problem, coverage, layout, scale)
    _movement_rows(entries, problem, layout)
    _limit_rows(entries, problem, layout)
    _money_rows(entries, problem, layout)
    _order_rows(entries, layout, scale)
    cost, lower, upper = _columns(problem, coverage, layout, scale, needed)
    listed = (layout.cover >= 0) & needed
    return Program(
        cost=cost,
        lower=lower,
        upper=upper,
        row_upper=_row_limits(problem, layout),
        matrix=entries.matrix(layout.rows, layout.columns),
        offset=coverage.worst_usd - float(coverage.weight[~listed].sum()),
    )


def _largest(need: FloatArray) -> FloatArray:
    """(D, T, K) the most of all resources; several times as fast as the maximum over a short last axis."""
    result: FloatArray = functools.reduce(np.maximum, np.moveaxis(need, 3, 0))
    return result


class _Entries:
    """Collects matrix entries; those of rows or columns that the program does not have are dropped."""

    def __init__(self) -> None:
        self._parts: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], FloatArray]] = []

    def add(self, rows: IntArray, columns: IntArray, values: FloatArray | float) -> None:
        # What has nothing to drop, which is most of a program, is told before it is spread out.
        whole = bool((rows >= 0).all() and (columns >= 0).all() and np.all(values != 0))
        narrow = rows.astype(np.int32), columns.astype(np.int32), np.asarray(values, dtype=np.float64)
        row, column, value = np.broadcast_arrays(*narrow)
        if whole:
            self._parts.append((row.ravel(), column.ravel(), value.ravel()))
        else:
            there = (row >= 0) & (column >= 0) & (value != 0)
            self._parts.append((row[there], column[there], value[there]))

    def matrix(self, rows: int, columns: int) -> sparse.csc_array:
        row, column, value = (np.concatenate([part[i] for part in self._parts]) for i in range(3))
        return sparse.coo_array((value, (row, column)), shape=(rows, columns)).tocsc()


def _capacity_rows(entries: _Entries, problem: Problem, coverage: Coverage, layout: Layout, scale: FloatArray) -> None:
    """sum_k need_kr share_k <= sum_m size_mr (hot + leased [+ warm [+ cold]]), for the tiers hot, warm, cold."""
    place = problem.option_place
    per_unit = coverage.need / scale[..., None]
    per_unit[coverage.single, :, :, 0] = 1.0  # also where a band needs nothing: the matrix does not depend on demand
    for tier in range(3):
        for resource, needed in enumerate(layout.pattern.rows.T):
            rows = layout.capacity[tier][:, :, resource]
            entries.add(rows[needed][:, :, None], layout.cover[tier][needed], per_unit[needed, :, :, resource])
            mine = np.flatnonzero(needed[place])
            for columns in (layout.hot, layout.warm, layout.cold)[: tier + 1]:
                entries.add(rows[place[mine]], columns[mine], -coverage.size[mine, resource][:, None])
            if problem.leases is not None:
                option = problem.leases.option
                entries.add(rows[place[option]], layout.leased, -coverage.size[option, resource][:, None])


def _movement_rows(entries: _Entries, problem: Problem, layout: Layout) -> None:
    """Starts, minimum hold, flap budget, and nothing new before its lead time has passed."""
    entries.add(layout.start, layout.hot, 1.0)
    entries.add(layout.start[:, 1:], layout.hot[:, :-1], -1.0)
    entries.add(layout.start, layout.starts, -1.0)
    entries.add(layout.hold, layout.hot, -1.0)
    begins = problem.block_starts
    for lag in range(problem.shape[1] if (problem.hold_hours > 0).any() else 0):
        runs = begins[: begins.size - lag] + problem.hold_hours[:, None] > begins[lag:] + 1e-9
        if not runs.any():
            break
        entries.add(layout.hold[:, lag:], layout.starts[:, : begins.size - lag], runs.astype(np.float64))
    # Stops are starts less what is gained; within a day the machines between its first block and its last cancel out.
    places = np.arange(problem.shape[0])[:, None]
    of_starts, of_stops = (layout.flap[places, day][problem.option_place] for day in problem.move_day)  # (M, T)
    same = of_starts == of_stops
    entries.add(of_stops, layout.starts, np.where(same, 2.0, 1.0))
    entries.add(np.where(same, ABSENT, of_starts), layout.starts, 1.0)
    ends = of_stops[:, 1:] != of_stops[:, :-1]
    entries.add(np.where(ends, of_stops[:, :-1], ABSENT), layout.hot[:, :-1], -1.0)
    entries.add(of_stops[:, -1:], layout.hot[:, -1:], -1.0)
    entries.add(np.where(ends, of_stops[:, 1:], ABSENT), layout.hot[:, :-1], 1.0)
    for columns in (layout.hot, layout.warm):
        entries.add(layout.early, columns, 1.0)
        entries.add(layout.early[:, 1:], columns[:, :-1], -1.0)


def _limit_rows(entries: _Entries, problem: Problem, layout: Layout) -> None:
    """Stock and quota per region, family and block; a place's fair share of them; what a region lends; what a link carries."""
    quota = problem.option_quota[:, None]
    rows = layout.limit[problem.region[problem.option_place], problem.option_family]
    for columns in (layout.hot, layout.warm, layout.cold):
        entries.add(rows, columns, quota)
    shares = layout.share[problem.option_place, problem.option_family]
    for columns in (layout.hot, layout.warm, layout.cold):
        entries.add(shares, columns, quota)
    leases = problem.leases
    if leases is None:
        return
    units = quota[leases.option]
    entries.add(layout.limit[leases.lender, problem.option_family[leases.option]], layout.leased, units)
    entries.add(layout.lending[leases.lender], layout.leased, units)
    linked = leases.link >= 0
    entries.add(layout.link[leases.link[linked]], layout.leased[linked], leases.gbps[linked][:, None])


def _money_rows(entries: _Entries, problem: Problem, layout: Layout) -> None:
    """What is held costs at most the budget, per day."""
    if not layout.pattern.budget:
        return
    for day, hours in enumerate(problem.budget_hours):
        row = layout.budget[day]
        entries.add(row, layout.hot, problem.hot_price * hours)
        entries.add(row, layout.warm, _finite(problem.warm_price) * hours)
        if problem.leases is not None:
            entries.add(row, layout.leased, problem.leases.price * hours)


def _order_rows(entries: _Entries, layout: Layout, scale: FloatArray) -> None:
    """share_(k+1) <= share_k where it would not come by itself."""
    places = np.flatnonzero(layout.pattern.ordered)
    rows, columns, per_share = layout.order[:, places], layout.cover[:, places], 1.0 / scale[places]
    entries.add(rows, columns[..., 1:], per_share[:, :, 1:])
    entries.add(rows, columns[..., :-1], -per_share[:, :, :-1])


def _columns(
    problem: Problem, coverage: Coverage, layout: Layout, scale: FloatArray, needed: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    cost, lower, upper = np.zeros(layout.columns), np.zeros(layout.columns), np.full(layout.columns, np.inf)
    hours, blocks = problem.block_hours, np.arange(problem.shape[1])
    early = blocks < problem.ready_from[:, None]
    held = problem.held[:, None]
    there = held + problem.held_warm[:, None]
    floors = np.ceil(problem.floors - 1e-9)
    _put(cost, layout.hot, problem.hot_price * hours)
    _put(lower, layout.hot, np.where(early, np.minimum(floors, np.floor(held)), floors))
    _put(upper, layout.hot, np.where(blocks < problem.resume_from[:, None], held, np.where(early, there, np.inf)))
    _put(cost, layout.warm, _finite(problem.warm_price) * hours)
    _put(upper, layout.warm, np.where(np.isfinite(problem.warm_price), np.inf, 0.0))
    _put(upper, layout.cold, np.where(np.isfinite(problem.cold_use_price), problem.cold_limit, 0.0))
    _put(cost, layout.starts, problem.start_cost[:, None])
    # In the order in which the layout numbers them.
    most = np.ascontiguousarray(np.where(needed, scale, 0.0))
    _put(cost, layout.cover, np.ascontiguousarray(coverage.weight / np.where(needed, -scale, -np.inf)))
    _put(upper, layout.cover, most)
    latest = np.zeros(len(problem.places), dtype=np.int64)
    np.maximum.at(latest, problem.option_place, problem.ready_from)
    _put(lower, layout.cover[0], problem.guaranteed * most * (blocks >= latest[:, None])[:, :, None])
    if problem.leases is not None:
        _put(cost, layout.leased, problem.leases.price * hours)
        _put(upper, layout.leased, np.where(early[problem.leases.option], 0.0, np.inf))
    return cost, lower, upper


def _row_limits(problem: Problem, layout: Layout) -> FloatArray:
    limits = np.zeros(layout.rows)
    _put(limits, layout.start[:, :1], problem.held[:, None])
    # An earlier solve's program may have rows for longer lead times than this problem's: they let everything through.
    early = np.where(np.arange(problem.shape[1]) < problem.ready_from[:, None], 0.0, np.inf)
    early[:, 0] += problem.held + problem.held_warm
    _put(limits, layout.early, early)
    _put(limits, layout.limit, problem.family_limit)
    _put(limits, layout.share, problem.share_limit)
    _put(limits, layout.budget, problem.budget_usd)
    if problem.leases is not None:
        _put(limits, layout.lending, problem.leases.lending_limit)
        _put(limits, layout.link, problem.leases.link_capacity)
    _put(limits, layout.hold, -problem.young)
    flap = problem.flap_limit.copy()
    np.subtract.at(flap, (problem.option_place, problem.move_day[1, problem.option_place, 0]), problem.held)
    _put(limits, layout.flap, flap)
    return limits


def _put(target: FloatArray, where: IntArray, values: FloatArray) -> None:
    full = np.broadcast_to(values, where.shape)
    there = where >= 0
    if where.flags.c_contiguous:
        # A layout numbers what is there one after the other.
        first, count = int(where.flat[np.argmax(there)]) if where.size else 0, int(np.count_nonzero(there))
        target[first : first + count] = full.ravel() if count == where.size else full[there]
    else:
        target[where[there]] = full[there]


def _finite(price: FloatArray) -> FloatArray:
    return np.where(np.isfinite(price), price, 0.0)
