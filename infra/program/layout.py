"""Which column of the program is which decision, and which row is which limit."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from infra.program.coverage import Coverage
from infra.program.problem import BoolArray, FloatArray, IntArray, Problem

__all__ = ["ABSENT", "MARGIN", "Layout", "Pattern", "layout_of", "pattern_of"]

ABSENT: Final = -1
# A limit that demand could come within this factor of enters a new program, so that small changes of demand keep its shape.
MARGIN: Final = 1.1


@dataclass(frozen=True, eq=False)
class Pattern:
    """Which parts of the program a problem needs; two problems of one pattern have programs of one shape.

    Attributes:
        sizes: D, T, K, R, M, L, F, days of flaps, days of the budget.
        rows: (D, R) resources that some band of the place needs, without those that are covered wherever another one is.
        warm, cold, start: (M,) options with standby; options whose cold machines are limited; options whose starts are counted.
        hold: (M,) hours of minimum hold. early_blocks: (M,) blocks that an option waits for machines asked for now.
        ordered: (D,) places whose bands must be told to fill in their order.
        limit: (G, F, T), share: (D, F, T), lending: (G, T), link: (links, T), flap: (D,): limits that can bind. budget: whether there is one.
        warm_places, cold_places: (D,) places with such an option, where that pool saves anything.
    """

    sizes: tuple[int, ...]
    rows: BoolArray
    warm_places: BoolArray
    cold_places: BoolArray
    warm: BoolArray
    cold: BoolArray
    start: BoolArray
    hold: FloatArray
    early_blocks: IntArray
    ordered: BoolArray
    limit: BoolArray
    share: BoolArray
    lending: BoolArray
    link: BoolArray
    flap: BoolArray
    budget: bool

    def serves(self, other: Pattern) -> bool:
        """Whether a program of this pattern can also hold a problem of the `other`: the same shape, and no part is missing."""
        if self.sizes != other.sizes or not np.array_equal(self.hold, other.hold) or (other.early_blocks > self.early_blocks).any():
            return False
        parts = [f.name for f in fields(Pattern) if f.name not in ("sizes", "hold", "early_blocks")]
        return all(bool(np.all(getattr(self, name) | ~np.asarray(getattr(other, name)))) for name in parts)


@dataclass(frozen=True, eq=False)
class Layout:
    """Numbers of columns and rows; ABSENT where the program has none.

    Columns: hot, warm, cold, starts (M, T); leased (L, T); cover (3, D, T, K).
    Rows: capacity (3, D, T, R); start, hold, early (M, T); limit (G, F, T); share (D, F, T); lending (G, T); link (links, T); flap (D, days);
    budget (days,); order (3, D, T, K - 1).
    """

    pattern: Pattern
    hot: IntArray
    warm: IntArray
    cold: IntArray
    starts: IntArray
    leased: IntArray
    cover: IntArray
    columns: int
    capacity: IntArray
    start: IntArray
    hold: IntArray
    early: IntArray
    limit: IntArray
    share: IntArray
    lending: IntArray
    link: IntArray
    flap: IntArray
    budget: IntArray
    order: IntArray
    rows: int


class _Counter:
    """Hands out consecutive numbers."""

    def __init__(self) -> None:
        self.next = 0

    def number(self, wanted: BoolArray) -> IntArray:
        result = np.full(wanted.shape, ABSENT, dtype=np.int64)
        count = int(wanted.sum())
        result[wanted] = np.arange(self.next, self.next + count)
        self.next += count
        return result


def pattern_of(problem: Problem, coverage: Coverage, *, margin: float = 1.0) -> Pattern:
    """The parts that a problem needs. Limits that `margin` times the demand cannot reach are left out: they change no plan."""
    places, blocks, bands, resources, options = problem.shape
    leases = problem.leases
    limit = _reachable_limits(problem, coverage, margin)
    warm = np.asarray(np.isfinite(problem.warm_price).any(axis=1))
    rows = np.asarray((coverage.need > 0).any(axis=(1, 2))) & ~_implied(problem, coverage, margin)
    share = np.isfinite(problem.share_limit)
    place, family = problem.option_place, problem.option_family
    rationed = limit[problem.region[place], family].any(axis=1) | share[place, family].any(axis=1)
    limited = rationed | np.isfinite(problem.cold_limit).any(axis=1)
    buys = np.isfinite(problem.cold_use_price).any(axis=1)
    worth = np.asarray(coverage.weight.any(axis=(2, 3)))  # (3, D)
    warm_place, cold_place = np.zeros(places, dtype=bool), np.zeros(places, dtype=bool)
    warm_place[place[warm]] = True
    cold_place[place[limited & buys]] = True
    warm_place, cold_place = warm_place & worth[1], cold_place & worth[2]
    flap = np.asarray(np.isfinite(problem.flap_limit).any(axis=1))
    days = problem.flap_limit.shape[1], len(problem.budget_hours)
    lent = 0 if leases is None else leases.option.size
    return Pattern(
        sizes=(places, blocks, bands, resources, options, lent, len(problem.families), *days),
        rows=rows,
        warm_places=warm_place,
        cold_places=cold_place,
        warm=warm,
        cold=cold_place[problem.option_place] & buys,
        start=(problem.start_cost > 0) | (problem.hold_hours > 0) | flap[problem.option_place],
        hold=problem.hold_hours,
        early_blocks=problem.ready_from,
        ordered=_disordered(coverage, rows),
        limit=limit,
        share=share,
        lending=np.zeros((len(problem.regions), blocks), dtype=bool) if leases is None else _in_use(leases.lender, leases.lending_limit),
        link=np.zeros((0, blocks), dtype=bool) if leases is None else _in_use(leases.link, leases.link_capacity),
        flap=flap,
        budget=bool(np.isfinite(problem.budget_per_day).any()),
    )


def layout_of(pattern: Pattern) -> Layout:
    """Numbers for the columns and rows of a pattern."""
    places, blocks, bands, resources, options, lent, _, days, budgets = pattern.sizes
    tiers = np.stack([np.ones(places, dtype=bool), pattern.warm_places, pattern.cold_places])
    columns, rows = _Counter(), _Counter()

    def per_option(wanted: BoolArray) -> BoolArray:
        return np.broadcast_to(wanted[:, None], (options, blocks))

    shape = (3, places, blocks, bands)
    return Layout(
        pattern=pattern,
        hot=columns.number(np.ones((options, blocks), dtype=bool)),
        warm=columns.number(per_option(pattern.warm)),
        cold=columns.number(per_option(pattern.cold)),
        starts=columns.number(per_option(pattern.start)),
        leased=columns.number(np.ones((lent, blocks), dtype=bool)),
        cover=columns.number(np.broadcast_to(tiers[:, :, None, None], shape)),
        columns=columns.next,
        capacity=rows.number(np.broadcast_to((tiers[:, :, None] & pattern.rows)[:, :, None, :], (3, places, blocks, resources))),
        start=rows.number(per_option(pattern.start)),
        hold=rows.number(per_option(pattern.hold > 0)),
        early=rows.number(np.arange(blocks) < pattern.early_blocks[:, None]),
        limit=rows.number(pattern.limit),
        share=rows.number(pattern.share),
        lending=rows.number(pattern.lending),
        link=rows.number(pattern.link),
        flap=rows.number(np.broadcast_to(pattern.flap[:, None], (places, days))),
        budget=rows.number(np.full(budgets, pattern.budget)),
        order=rows.number(np.broadcast_to((tiers & pattern.ordered)[:, :, None, None], (3, places, blocks, bands - 1))),
        rows=rows.next,
    )


def _implied(problem: Problem, coverage: Coverage, margin: float) -> BoolArray:
    """(D, R) resources that are covered wherever another one of their place is.

    Resource r is, beside q, when every band needs at most s times as much of r as of q, and every option has at least s times as much of r.
    Of two that are so beside each other the first stays.
    """
    many = np.flatnonzero(~coverage.single)
    need, size, resources = coverage.need[many], coverage.size, coverage.need.shape[3]
    beside = np.zeros((many.size, resources, resources), dtype=bool)
    for q in range(resources):
        has = size[:, q] > 0
        least = np.full((len(problem.places), resources), np.inf)
        np.minimum.at(least, problem.option_place[has], size[has] / size[has, q, None])
        most = np.where(np.isfinite(least), least, 0.0)[many, None, None, :] * need[..., q, None]
        beside[:, :, q] = (need * margin <= most).all(axis=(1, 2))
    earlier = np.tri(resources, k=-1, dtype=bool)
    implied = np.zeros((len(problem.places), resources), dtype=bool)
    implied[many] = (beside & (earlier | (earlier.T & ~beside.transpose(0, 2, 1)))).any(axis=2)
    return implied


def _in_use(index: IntArray, limit: FloatArray) -> BoolArray:
    """Limits that are finite and that some lease takes from."""
    return np.isfinite(limit) & np.isin(np.arange(limit.shape[0]), index)[:, None]


def _reachable_limits(problem: Problem, coverage: Coverage, margin: float) -> BoolArray:
    """(G, F, T) limits that are finite and that the machines of all services and leases could reach."""
    leases = problem.leases
    total = coverage.need.sum(axis=2).max(axis=1)[problem.option_place]
    with np.errstate(divide="ignore", invalid="ignore"):
        machines = np.where(total > 0, total / coverage.size, 0.0).max(axis=1)
    most = np.maximum(np.maximum(machines, problem.floors.max(axis=1)), problem.held + problem.held_warm) + 1
    with np.errstate(invalid="ignore"):
        wanted = np.where(problem.option_quota > 0, most * problem.option_quota, 0.0)
    own, lent = np.zeros((2, *problem.family_limit.shape[:2], 1))
    np.add.at(own[..., 0], (problem.region[problem.option_place], problem.option_family), wanted)
    if leases is not None and leases.option.size:
        np.add.at(lent[..., 0], (leases.lender, problem.option_family[leases.option]), wanted[leases.option])
        lent = np.minimum(lent, leases.lending_limit[:, None, :])
    result: BoolArray = np.isfinite(problem.family_limit) & ((own + lent) * margin > problem.family_limit)
    return result


def _disordered(coverage: Coverage, rows: BoolArray) -> BoolArray:
    """(D,) places of several options in which some pool would gain from filling a later band before an earlier one."""
    many = ~coverage.single
    gain, need = coverage.weight[:, many, :, :, None], coverage.need[many] * rows[many][:, None, None, :]
    rises = gain[:, :, :, 1:] * need[:, :, :-1] > gain[:, :, :, :-1] * need[:, :, 1:] * (1 + 1e-9)
    result = many.copy()
    result[many] = rises.any(axis=(0, 2, 3, 4))
    return result
