"""Where the solver starts changes how long it takes, and nothing else."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headroom.errors import BadInputError
from infra.program import Leases, Problem, solve
from tests.infra.program_problems import one_place, random_problem

QUICK = settings(max_examples=10)


@QUICK
@given(seed=st.integers(0, 10_000), two_types=st.booleans(), movement=st.booleans())
def test_the_newsvendors_start_leads_to_the_same_optimum(seed: int, two_types: bool, movement: bool) -> None:
    problem = random_problem(seed, resources=2, two_types=two_types, movement=movement, leases=True, budget=True)
    plain = solve(problem, whole=False, method="simplex")
    assert solve(problem, whole=False).bound_usd == pytest.approx(plain.bound_usd, rel=1e-7)


@pytest.mark.parametrize("movement", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_starting_region_by_region_leads_to_the_same_optimum(seed: int, movement: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where starts and stops are counted, leases come in when they pay; they do here."""
    problem = random_problem(seed, places=6, blocks=12, resources=2, two_types=True, leases=True, budget=True, movement=movement)
    plain = solve(problem, whole=False, method="simplex")
    monkeypatch.setattr(importlib.import_module("infra.program.solve"), "WORTHWHILE_ROWS", 0)
    assert solve(problem, whole=False).bound_usd == pytest.approx(plain.bound_usd, rel=1e-7)


@pytest.mark.parametrize("flap_limit", [np.inf, 100.0])
def test_a_region_without_a_plan_of_its_own_may_still_lease(flap_limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases(option=np.array([0]), lender=np.array([1]), price=np.array([1.5]))
    limits = np.array([[8.0], [100.0]])
    problem = one_place(regions=["here", "there"], family_limit=limits, leases=leases, guaranteed=np.array([[[1.0, 0, 0, 0]]]))
    problem = replace(problem, flap_limit=np.asarray(flap_limit))
    monkeypatch.setattr(importlib.import_module("infra.program.solve"), "WORTHWHILE_ROWS", 0)
    plan = solve(problem)
    assert (plan.hot + plan.leased >= 10).all()


def test_the_same_problem_has_the_same_plan() -> None:
    first, second = (solve(random_problem(5, places=6, blocks=12, leases=True, budget=True), small=0) for _ in range(2))
    assert (first.hot == second.hot).all()
    assert (first.warm == second.warm).all()
    assert first.cost_usd == second.cost_usd


@QUICK
@example(seed=836, units=1e6, movement=False)
@given(seed=st.integers(0, 10_000), units=st.sampled_from([1e-4, 1.0, 1e6]), movement=st.booleans())
def test_a_warm_start_leads_to_the_same_optimum_however_far_the_other_problem_is(seed: int, units: float, movement: bool) -> None:
    """Another demand, and memory in other units: the start is as good as none."""
    before, other = (random_problem(number, resources=2, two_types=True, leases=True, budget=True) for number in (seed, seed + 1))
    other = replace(other, width=other.width * [1.0, units], option_size=other.option_size * [1.0, units])
    if movement:
        before, other = (replace(problem, hold_hours=np.asarray(3.0), flap_limit=np.asarray(9.0)) for problem in (before, other))
    warm = solve(other, whole=False, warm_start=solve(before, whole=False))
    assert warm.bound_usd == pytest.approx(solve(other, whole=False, method="simplex").bound_usd, rel=1e-7)


def test_a_resource_that_is_covered_wherever_another_one_is_adds_no_rows_until_it_binds() -> None:
    alone = random_problem(7, two_types=True, leases=True, budget=True)

    def beside(share: float) -> Problem:
        width, size = (np.concatenate([a, a * s], axis=-1) for a, s in ((alone.width, share), (alone.option_size, 1.0)))
        return replace(alone, resources=["cpu", "bandwidth"], width=width, option_size=size)

    loose = solve(beside(0.8), whole=False)
    assert loose.warm_start.layout.rows == solve(alone, whole=False).warm_start.layout.rows
    assert loose.bound_usd == pytest.approx(solve(alone, whole=False).bound_usd)
    assert solve(beside(1.0), whole=False, warm_start=loose).bound_usd == pytest.approx(loose.bound_usd)
    binding = solve(beside(1.5), whole=False, warm_start=loose)
    assert binding.bound_usd == pytest.approx(solve(beside(1.5), whole=False, method="simplex").bound_usd)
    assert binding.bound_usd > loose.bound_usd


def test_a_solution_of_another_shape_is_no_start() -> None:
    before = solve(random_problem(1, blocks=6))
    other = random_problem(1, blocks=8)
    assert solve(other, warm_start=before).bound_usd == pytest.approx(solve(other).bound_usd)


def test_a_shorter_lead_time_counts_after_a_longer_one() -> None:
    before = solve(one_place(held=4, ready_from=3))
    sooner = solve(one_place(held=4, ready_from=1), warm_start=before)
    assert sooner.hot[0, :4].tolist() == [4, 20, 20, 20]


def test_a_start_survives_a_problem_without_a_plan() -> None:
    good = one_place(family_limit=25)
    plan = solve(good)
    with pytest.raises(BadInputError, match="floors of here/web"):
        solve(replace(good, floors=np.asarray(30.0)), warm_start=plan)
    again = solve(good, warm_start=plan)
    assert again.bound_usd == pytest.approx(plan.bound_usd)
    assert (again.hot == plan.hot).all()
