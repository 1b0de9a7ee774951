"""What holds for every plan, on random small problems, for the best whole plans and for rounded ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom.errors import BadInputError
from infra.program import Problem, ShadowPrice, Solution, solve
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


def _raised(problem: Problem, price: ShadowPrice, by: float) -> Problem:
    """The problem with one limit raised."""

    def more(limit: np.ndarray) -> np.ndarray:
        raised = limit.copy()
        raised[price.of] += by
        return raised

    field = {"quota": "family_limit", "share": "share_limit", "budget": "budget_per_day", "flaps": "flap_limit"}.get(price.kind)
    if field == "budget_per_day":
        return replace(problem, budget_per_day=problem.budget_per_day + by)
    if field is not None:
        return replace(problem, **{field: more(getattr(problem, field))})
    field = {"lending": "lending_limit", "link": "link_capacity"}[price.kind]
    return replace(problem, leases=replace(problem.leases, **{field: more(getattr(problem.leases, field))}))


def _check_prices(problem: Problem) -> set[str]:
    """Every shadow price lies between what one unit more saves and one unit less costs; the kinds that were there."""
    plan = solve(problem, whole=False)
    days = problem.block_hours.sum() / 24
    step = 1e-4
    for price in plan.shadow_prices:
        gained = (plan.bound_usd - solve(_raised(problem, price, step), whole=False).bound_usd) / step / days
        lost = (solve(_raised(problem, price, -step), whole=False).bound_usd - plan.bound_usd) / step / days
        # At a kink of the cost any price between the two is right.
        assert gained - 1e-3 * (1 + gained) <= price.usd_per_day <= lost + 1e-3 * (1 + lost), price
    return {price.kind for price in plan.shadow_prices}


def _shared(problem: Problem, seed: int) -> Problem:
    """The problem with a share for each place that is about half of what it wants."""
    random = np.random.default_rng(seed)
    wanted = problem.width.sum(axis=2).max(axis=(1, 2))
    return replace(problem, share_limit=(wanted * random.uniform(0.3, 0.8, wanted.size))[:, None, None])


@QUICK
@given(seed=SEEDS, leases=st.booleans(), movement=st.booleans(), shares=st.booleans())
def test_shadow_prices_are_what_one_unit_more_saves(seed: int, leases: bool, movement: bool, shares: bool) -> None:
    problem = random_problem(seed, leases=leases, budget=True, movement=movement)
    _check_prices(_shared(problem, seed) if shares else problem)


def test_every_kind_of_limit_has_been_priced() -> None:
    """The property above is about nothing where no limit of a kind binds: these problems together have all of them."""
    kinds = set()
    for seed in range(12):
        kinds |= _check_prices(random_problem(seed, leases=True, movement=True))
        kinds |= _check_prices(random_problem(seed, limits=False, budget=True))
    kinds |= _check_prices(_shared(random_problem(1, limits=False), 1))
    assert kinds == {"quota", "share", "lending", "link", "budget", "flaps"}


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
