"""Scarce stock and quota shared fairly between services, instead of all to the highest bids; scarce money counts beside them, but not alone.

What a place asks for is what it would hold if it were alone (its best plan without the common limits), and what it would buy in the worst case:
a vector of units per family of its region, and of USD from the budget. Its guaranteed floors come first. Of what it asks for above them it is
granted a share `x` in every block:

- `dominant`: weighted dominant-resource fairness (Ghodsi et al., NSDI 2011) by progressive filling. All shares grow with their place's weight,
  measured in the resource of which the place takes the largest part, until a resource is used up or a request is met.
- `proportional`: maximises sum of weight x log(granted), the proportional fairness of Kelly (1997), by bisection on the resources' prices.

Both look only at the *direction* of a request and cap it at its size. A service that asks for more than it needs gets no more of what it needs:
a larger request grows at the same pace and is stopped later, by which time a true one is met or the resource is gone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal, TypeAlias

import numpy as np

from headroom.errors import BadInputError
from infra.program.coverage import coverage_of
from infra.program.problem import FloatArray, Problem
from infra.program.solve import solve

__all__ = ["FairnessRule", "share_fairly"]

FairnessRule: TypeAlias = Literal["dominant", "proportional"]

_NOISE: Final = 1e-9
_BISECTIONS: Final = 60
_SWEEPS: Final = 30


def share_fairly(problem: Problem, *, rule: FairnessRule = "dominant", weight: FloatArray | None = None) -> Problem:
    """The problem with `share_limit` set wherever the places of a region ask for more of a family than there is.

    Solving it gives the fair plan: within its share each place still decides by its own bid between hot, warm and cold.

    Args:
        problem: its own `share_limit` is replaced.
        rule: see above.
        weight: (D,) or (D, T) above 0; default equal.

    Raises:
        BadInputError: for an unknown rule, or a weight that is not above 0.
    """
    shape = (len(problem.places), problem.shape[1])
    given = np.ones(shape) if weight is None else np.asarray(weight, dtype=float)
    weights = given[:, None].repeat(shape[1], axis=1) if given.shape == shape[:1] else given
    if rule not in ("dominant", "proportional"):
        raise BadInputError(f"fairness rule {rule!r} is unknown; choose dominant or proportional")
    if weights.shape != shape or not (np.isfinite(weights) & (weights > 0)).all():
        raise BadInputError(
            f"weights {given} must be one finite number above 0 for each of the {shape[0]} places, or for each of their blocks"
        )
    units, usd = _requests(problem)
    floor_units, floor_usd = _floors(problem)
    above, money = np.clip(units - floor_units, 0, None), np.clip(usd - floor_usd, 0, None)
    cells = np.arange(len(problem.regions))[:, None] == problem.region  # (G, D)
    room = np.clip(problem.family_limit - np.einsum("gd,dft->gft", cells.astype(float), floor_units), 0, None)
    # (J, D, T) what a whole request takes of each resource, as a part of what there is of it; resources without a limit drop out.
    taken = np.concatenate([_parts(cells[:, None, :, None] * above.transpose(1, 0, 2)[None], room), _money_part(problem, money, floor_usd)])
    granted = _filled(taken, weights) if rule == "dominant" else _balanced(taken, weights)
    asked = np.einsum("gd,dft->gft", cells.astype(float), units)
    scarce = (asked > problem.family_limit * (1 + _NOISE))[problem.region]
    return replace(problem, share_limit=np.where(scarce, floor_units + granted[:, None, :] * above, np.inf))


def _requests(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """(D, F, T) units and (D, T) USD per hour that each place would take if it were alone."""
    endless = np.asarray(np.inf)
    alone = replace(problem, family_limit=endless, share_limit=endless, budget_per_day=endless, leases=None)
    plan = solve(alone, whole=False)
    warm_price = np.where(np.isfinite(problem.warm_price), problem.warm_price, 0.0)
    units = np.zeros((len(problem.places), len(problem.families), problem.shape[1]))
    machines = plan.hot + plan.warm + _to_buy(alone, plan.hot + plan.warm)
    np.add.at(units, (problem.option_place, problem.option_family), problem.option_quota[:, None] * machines)
    usd = np.zeros((len(problem.places), problem.shape[1]))
    np.add.at(usd, problem.option_place, problem.hot_price * plan.hot + warm_price * plan.warm)
    return units, usd


def _to_buy(problem: Problem, held: FloatArray) -> FloatArray:
    """(M, T) machines that the place's cheapest option to buy adds to those held, to serve every band that is worth it."""
    coverage = coverage_of(problem)
    wanted = (coverage.need * (coverage.weight[2] > 0)[..., None]).sum(axis=2)
    there = np.zeros(wanted.shape)
    np.add.at(there, problem.option_place, held[:, :, None] * coverage.size[:, None, :])
    missing = np.clip(wanted - there, 0, None)[problem.option_place]
    with np.errstate(divide="ignore", invalid="ignore"):
        machines = np.where(missing > _NOISE, missing / coverage.size[:, None, :], 0.0).max(axis=2)
        usd = np.where(machines > 0, machines * problem.cold_use_price, 0.0).sum(axis=1)
    order = np.lexsort((usd, problem.option_place))
    first = np.unique(problem.option_place[order], return_index=True)[1]
    result = np.zeros(machines.shape)
    result[order[first]] = np.where(np.isfinite(machines[order[first]]), machines[order[first]], 0.0)
    return result


def _floors(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """(D, F, T) units and (D, T) USD per hour of what is guaranteed: floors, and guaranteed bands on the place's first option."""
    coverage = coverage_of(problem)
    need = (problem.guaranteed[..., None] * coverage.need).sum(axis=2)[problem.option_place]
    with np.errstate(divide="ignore", invalid="ignore"):
        machines = np.where(need > 0, need / coverage.size[:, None, :], 0.0).max(axis=2)
    first = np.unique(problem.option_place, return_index=True)[1]
    chosen = np.zeros(machines.shape, dtype=bool)
    chosen[first] = True
    held = np.maximum(problem.floors, np.where(chosen & np.isfinite(machines), machines, 0.0))
    units = np.zeros((len(problem.places), len(problem.families), problem.shape[1]))
    np.add.at(units, (problem.option_place, problem.option_family), problem.option_quota[:, None] * held)
    usd = np.zeros((len(problem.places), problem.shape[1]))
    np.add.at(usd, problem.option_place, problem.hot_price * held)
    return units, usd


def _parts(requests: FloatArray, room: FloatArray) -> FloatArray:
    """(J, D, T) requests (G, F, D, T) as parts of the room (G, F, T); only of resources that have a limit."""
    limited = np.asarray(np.isfinite(room).any(axis=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        part = requests / room[:, :, None, :]
    part = np.where(requests > 0, part, 0.0)
    result: FloatArray = part[limited]
    return result


def _money_part(problem: Problem, usd: FloatArray, floor_usd: FloatArray) -> FloatArray:
    """(1, D, T) requests as parts of the budget; each block has the part of its day's budget that it asks of the day."""
    if not np.isfinite(problem.budget_per_day).any():
        return np.zeros((0, *usd.shape))
    hours = problem.budget_hours
    asked = usd.sum(axis=0)
    left = problem.budget_usd - hours @ floor_usd.sum(axis=0)
    share = np.clip(left, 0, None) / np.maximum(hours @ asked, _NOISE)  # of a day's requests
    day = np.argmax(hours, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(usd > 0, usd / (asked * share[day]), 0.0)
    return part[None]


def _filled(taken: FloatArray, weight: FloatArray) -> FloatArray:
    """(D, T) granted shares by progressive filling, all blocks at once; `weight` is (D, T).

    Each round all growing shares grow at their pace until in each block the next thing happens: a resource is used up (those who need it stop)
    or a request is met.
    """
    dominant = taken.max(axis=0, initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        pace = np.where(dominant > 0, weight / dominant, np.inf)
    granted = np.where((dominant == 0), 1.0, 0.0)
    blocked = np.isinf(dominant)
    pace = np.where(np.isfinite(pace), pace, 0.0)
    parts = np.where(np.isfinite(taken), taken, 0.0)
    growing = (granted < 1) & ~blocked
    for _ in range(taken.shape[0] + len(weight)):
        if not growing.any():
            break
        speed = np.where(growing, pace, 0.0)
        use, drain = np.einsum("jdt,dt->jt", parts, np.where(blocked, 0.0, granted)), np.einsum("jdt,dt->jt", parts, speed)
        with np.errstate(divide="ignore", invalid="ignore"):
            until_empty = np.where(drain > 0, np.clip(1 - use, 0, None) / drain, np.inf)
            until_met = np.where(growing, (1 - granted) / speed, np.inf)
        step = np.minimum(until_empty.min(axis=0, initial=np.inf), until_met.min(axis=0))
        step = np.where(np.isfinite(step), step, 0.0)
        granted = np.minimum(granted + speed * step, 1.0)
        empty = (until_empty <= step * (1 + _NOISE)) & (drain > 0)
        stopped = np.einsum("jdt,jt->dt", (parts > 0).astype(float), empty.astype(float)) > 0
        growing &= ~stopped & (granted < 1 - _NOISE)
    return granted


def _balanced(taken: FloatArray, weight: FloatArray) -> FloatArray:
    """(D, T) shares for `weight` (D, T): x = min(1, weight / sum_j price_j taken_j), with prices at which no resource is overdrawn and none with a price is idle.

    The prices are found one resource after the other by bisection, again and again (the dual is convex, so this descends to its optimum).
    """
    parts = np.where(np.isfinite(taken), taken, 0.0)
    blocked = np.isinf(taken).any(axis=0)
    price = np.zeros((taken.shape[0], taken.shape[2]))

    def shares(total: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(blocked, 0.0, np.minimum(1.0, np.where(total > 0, weight / total, 1.0)))

    for _ in range(_SWEEPS if taken.shape[0] > 1 else 1):
        before = price.copy()
        for j in range(taken.shape[0]):
            others = np.einsum("jdt,jt->dt", parts, price) - parts[j] * price[j]
            low, high = np.zeros(taken.shape[2]), weight.sum(axis=0) + 1.0
            for _bisection in range(_BISECTIONS):
                middle = (low + high) / 2
                over = (parts[j] * shares(others + parts[j] * middle)).sum(axis=0) > 1
                low, high = np.where(over, middle, low), np.where(over, high, middle)
            price[j] = np.where((parts[j] * shares(others)).sum(axis=0) > 1, high, 0.0)
        if np.abs(price - before).max(initial=0.0) <= 1e-9 * max(1.0, float(price.max(initial=0.0))):
            break
    return shares(np.einsum("jdt,jt->dt", parts, price))
