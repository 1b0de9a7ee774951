"""What holds for every plan, on random small problems, for the best whole plans and for rounded ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom.errors import BadInputError
from infra.program import Problem, Solution, solve
from tests.infra.program_problems import random_problem

SEEDS = st.integers(0, 10_000)
EXACT_AND_ROUNDED = pytest.mark.parametrize("small", [0, 10_000], ids=["rounded", "exact"])
QUICK = settings(max_examples=10)


def _use(problem: Problem, plan: Solution) -> np.ndarray:
    """(G, T) units that the plan takes from each region's limit."""
    use = np.zeros((len(problem.regions), problem.shape[1]))
    np.add.at(use, problem.region[problem.option_place], problem.option_quota[:, None] * (plan.hot + plan.warm + plan.cold))
    if problem.leases is not None:
        np.add.at(use, problem.leases.lender, problem.option_quota[problem.leases.option][:, None] * plan.leased)
    return use


def _usd_per_day(problem: Problem, plan: Solution) -> np.ndarray:
    held = (problem.hot_price * plan.hot + np.nan_to_num(problem.warm_price, posinf=0) * plan.warm).sum(axis=0)
    if problem.leases is not None:
        held += (problem.leases.price * plan.leased).sum(axis=0)
    return problem.day_hours @ held / problem.day_hours.sum(axis=1) * 24


@EXACT_AND_ROUNDED
@QUICK
@given(seed=SEEDS, two_types=st.booleans(), leases=st.booleans(), movement=st.booleans())
def test_no_plan_exceeds_stock_budget_lending_or_flaps(small: int, seed: int, two_types: bool, leases: bool, movement: bool) -> None:
    problem = random_problem(seed, resources=2, two_types=two_types, budget=True, leases=leases, movement=movement)
    plan = solve(problem, small=small)
    assert (plan.hot == np.round(plan.hot)).all()
    assert min(plan.hot.min(), plan.warm.min(), plan.leased.min(initial=0)) >= 0
    assert (_use(problem, plan) <= problem.family_limit[:, 0] + 1e-6).all()
    assert (_usd_per_day(problem, plan) <= problem.budget_per_day + 1e-6).all()
    if problem.leases is not None:
        lent = np.zeros((2, problem.shape[1]))
        np.add.at(lent, problem.leases.lender, problem.option_quota[problem.leases.option][:, None] * plan.leased)
        assert (lent <= problem.leases.lending_limit + 1e-6).all()
    moves = np.abs(np.diff(plan.hot, axis=1, prepend=problem.held[:, None])).sum(axis=1)
    per_place = np.bincount(problem.option_place, weights=moves)
    assert (per_place <= problem.flap_limit.sum(axis=1) + 1e-6).all()
    assert plan.cost_usd >= plan.bound_usd - 1e-6 * abs(plan.bound_usd)


@EXACT_AND_ROUNDED
@QUICK
@given(seed=SEEDS)
def test_floors_are_met_whenever_that_is_possible(small: int, seed: int) -> None:
    problem = random_problem(seed, budget=True)
    random = np.random.default_rng(seed)
    problem = replace(problem, floors=random.integers(0, 4, (problem.shape[4], 1)))
    units = np.zeros(problem.family_limit[:, 0].shape)
    np.add.at(units, problem.region[problem.option_place], problem.option_quota[:, None] * problem.floors)
    money = problem.day_hours @ (problem.hot_price * problem.floors).sum(axis=0) / problem.day_hours.sum(axis=1) * 24
    if (units > problem.family_limit[:, 0]).any() or (money > problem.budget_per_day).any():
        with pytest.raises(BadInputError, match="floor"):
            solve(problem, small=small)
    else:
        assert (solve(problem, small=small).hot >= problem.floors).all()


@settings(max_examples=5)
@given(seed=SEEDS, two_types=st.booleans(), share=st.floats(1.0, 2.0))
def test_more_stock_never_costs_more(seed: int, two_types: bool, share: float) -> None:
    problem = random_problem(seed, two_types=two_types, budget=True, leases=True)
    more = replace(problem, family_limit=problem.family_limit * share)
    assert solve(more, whole=False).bound_usd <= solve(problem, whole=False).bound_usd * (1 + 1e-9) + 1e-9
    assert solve(more, small=10_000).cost_usd <= solve(problem, small=10_000).cost_usd * (1 + 2e-4) + 1e-9


@QUICK
@given(seed=SEEDS)
def test_known_demand_is_the_clairvoyants_program(seed: int) -> None:
    uncertain = random_problem(seed, budget=True)
    truth = uncertain.width.sum(axis=2, keepdims=True)
    worth = uncertain.value.sum(axis=2, keepdims=True)
    clairvoyant = solve(replace(uncertain, width=truth, reach=1.0, value=worth, guaranteed=0.0))
    # The same certain demand cut into bands of one worth each: nothing is uncertain, so the plan must cost the same.
    certain = replace(uncertain, reach=1.0, value=worth * uncertain.width[..., 0] / np.where(truth > 0, truth, 1)[..., 0])
    assert solve(certain).bound_usd == pytest.approx(clairvoyant.bound_usd, rel=1e-9)
    assert solve(certain).cost_usd == pytest.approx(clairvoyant.cost_usd, rel=2e-4)


@QUICK
@given(seed=SEEDS, leases=st.booleans())
def test_shadow_prices_are_what_one_unit_more_saves(seed: int, leases: bool) -> None:
    problem = random_problem(seed, leases=leases, budget=True)
    plan = solve(problem, whole=False)
    days = problem.block_hours.sum() / 24
    step = 1e-4
    for price in plan.shadow_prices:
        if price.kind == "quota":
            g = problem.regions.index(price.name.removeprefix("all in "))
            limit = problem.family_limit.copy()
            up, down = limit.copy(), limit.copy()
            up[g] += step
            down[g] -= step
            more, less = replace(problem, family_limit=up), replace(problem, family_limit=down)
        elif price.kind == "budget":
            more, less = (replace(problem, budget_per_day=problem.budget_per_day + s) for s in (step, -step))
        else:
            continue
        gained = (plan.bound_usd - solve(more, whole=False).bound_usd) / step / days
        lost = (solve(less, whole=False).bound_usd - plan.bound_usd) / step / days
        # At a kink of the cost any price between the two is right.
        assert gained - 1e-3 * (1 + gained) <= price.usd_per_day <= lost + 1e-3 * (1 + lost)


@pytest.mark.parametrize("seed", range(3))
def test_rounding_stays_within_one_percent_of_the_bound(seed: int) -> None:
    problem = random_problem(seed, places=12, blocks=24, resources=2, two_types=True, budget=True)
    problem = replace(
        problem,
        width=problem.width * 10,
        value=problem.value * 10,
        family_limit=problem.family_limit * 10,
        budget_per_day=problem.budget_per_day * 10,
    )
    plan = solve(problem, small=0)
    assert plan.cost_usd <= plan.bound_usd * 1.01
