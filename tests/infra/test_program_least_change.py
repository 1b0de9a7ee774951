"""Starts and stops beyond what is allowed, where no plan has fewer."""

from dataclasses import replace

import numpy as np
import pytest

from infra.program import PlanConflictError, solve, with_least_change
from tests.benchmarks.planner_problems import planning_problem


def test_a_large_problem_gets_its_starts_and_stops_without_branch_and_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """In fractions of machines, rounded up: here as few as in whole machines, and there is a plan."""
    problem = replace(planning_problem(3, 2), flap_limit=np.asarray(0.0))
    with pytest.raises(PlanConflictError):
        solve(problem)
    whole = with_least_change(problem).flap_limit
    monkeypatch.setattr("infra.program.least_change._MANY", 0)
    monkeypatch.setattr("infra.program.highs.Solver.solve_whole", None)
    rounded_up = with_least_change(problem).flap_limit
    assert (rounded_up == np.ceil(rounded_up)).all()
    assert 0 < whole.sum() <= rounded_up.sum() <= whole.sum() + problem.shape[0]
    monkeypatch.undo()
    assert solve(replace(problem, flap_limit=rounded_up)).cost_usd > 0
