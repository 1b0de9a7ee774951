"""Whole machines: rounding."""

from __future__ import annotations

import numpy as np

from infra.program.layout import Layout
from infra.program.matrix import Program
from infra.program.plan import Plan

__all__ = ["whole_machines"]


def whole_machines(layout: Layout, program: Program, plan: Plan) -> Plan:
    """The plan with every number of machines at the nearest whole one within its bounds."""
    hot = np.clip(np.round(plan.hot), program.lower[layout.hot], np.floor(program.upper[layout.hot]))
    warm = np.clip(np.round(plan.hot + plan.warm) - hot, 0, None) * layout.pattern.warm[:, None]
    return Plan(hot, warm, np.round(plan.cold), np.floor(plan.leased + 1e-6))
