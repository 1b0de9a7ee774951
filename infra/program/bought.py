"""Machines that a plan counts on buying when demand comes, and the limits that leave no room for one more."""

from __future__ import annotations

from typing import Final

import numpy as np

from infra.program.coverage import machines_for
from infra.program.plan import Plan
from infra.program.problem import BoolArray, FloatArray, Problem
from infra.program.repair import limit_use, share_use
from infra.program.solve import Solution

__all__ = ["bought", "no_room"]

_NOISE: Final = 1e-6


def bought(problem: Problem, solution: Solution) -> FloatArray:
    """(M, T) machines that are bought when demand comes and nothing held serves it; where there are fewer, nobody serves it.

    Where limits say how many there are, the program's. Elsewhere as many as serve the bands that are worth buying for, of the place's first option.
    """
    machines = solution.cold.copy()
    unlimited = ~solution.warm_start.layout.pattern.cold_places
    first = np.unique(problem.option_place, return_index=True)[1]
    later = ((solution.cover[2] - solution.cover[1])[..., None] * problem.width).sum(axis=2, keepdims=True)
    asked = machines_for(np.clip(later, 0.0, None), problem.option_size[first])[:, :, 0]
    machines[first[unlimited]] = np.ceil(asked[unlimited] - _NOISE) + 0.0  # no negative zero
    return machines


def no_room(problem: Problem, solution: Solution, *, at_least: float = 1.0) -> tuple[BoolArray, BoolArray]:
    """(M, T) options of which not `at_least` more machines have room in the limit of their region and family, and in the share of their place."""
    plan = Plan(solution.hot, solution.warm, solution.cold, solution.leased)
    place, family, units = problem.option_place, problem.option_family, at_least * problem.option_quota[:, None]
    region_room = (problem.family_limit - limit_use(problem, plan))[problem.region[place], family]
    share_room = (problem.share_limit - share_use(problem, plan))[place, family]
    counts = problem.option_quota[:, None] > 0
    return np.asarray(counts & (region_room < units - _NOISE)), np.asarray(counts & (share_room < units - _NOISE))
