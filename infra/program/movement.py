"""Whole plans made to respect lead times and minimum holds, block by block."""

from __future__ import annotations

import numpy as np

from infra.program.plan import Plan
from infra.program.problem import Problem

__all__ = ["held_long_enough", "in_time"]


def in_time(problem: Problem, plan: Plan) -> Plan:
    """The plan in which, before an option's lead time, no block has more hot and warm machines than the one before."""
    hot, warm = plan.hot.copy(), plan.warm.copy()
    there = np.floor(problem.held + problem.held_warm + 1e-9)
    for t in range(min(int(problem.ready_from.max()), problem.shape[1])):
        early = problem.ready_from > t
        hot[:, t] = np.where(early, np.minimum(hot[:, t], there), hot[:, t])
        warm[:, t] = np.where(early, np.minimum(warm[:, t], there - hot[:, t]), warm[:, t])
        there = np.where(early, hot[:, t] + warm[:, t], there)
    return Plan(hot, warm, plan.cold, plan.leased)


def held_long_enough(problem: Problem, plan: Plan) -> Plan:
    """The plan in which every machine that was started stays hot for the option's minimum hold.

    In each block at least as many run as were started within the hold before it, before the plan or in it. Raising a block to that many starts none: the block before
    had them all.
    """
    options = np.flatnonzero(problem.hold_hours > 0)
    if not options.size:
        return plan
    hot, warm = plan.hot.copy(), plan.warm.copy()
    begins, hold = problem.block_starts, problem.hold_hours[options]
    started = np.zeros((options.size, begins.size))
    before = problem.held[options]
    for t in range(begins.size):
        recent = begins[:t] + hold[:, None] > begins[t] + 1e-9
        must = problem.young[options, t] + (started[:, :t] * recent).sum(axis=1)
        raised = np.maximum(hot[options, t], must)
        warm[options, t] = np.maximum(warm[options, t] - (raised - hot[options, t]), 0)
        hot[options, t] = raised
        started[:, t] = np.clip(raised - before, 0, None)
        before = raised
    return Plan(hot, warm, plan.cold, plan.leased)
