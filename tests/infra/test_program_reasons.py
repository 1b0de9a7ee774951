"""The reasons of a plan: quantiles, single steps and limits are what they say."""

from dataclasses import replace

import numpy as np
import pytest

from infra.program import Solution, bands_from_quantiles, binding_limits, reasons_of, solve
from infra.program.coverage import coverage_of
from infra.program.plan import Plan, costs_of, cover_of
from tests.infra.program_problems import one_place, random_problem

LEVELS = np.array([0.1, 0.5, 0.9, 0.99])


def test_the_quantile_bought_is_that_of_the_forecast() -> None:
    width, reach = bands_from_quantiles(LEVELS, np.broadcast_to(np.array([10.0, 20.0, 30.0, 40.0])[:, None], (1, 24, 4, 1)))
    problem = one_place(width=width, reach=reach, value=3 * width[..., 0], warm_price=0.05, warm_loss=0.2)
    plan = solve(problem)
    reasons = reasons_of(problem, plan)
    assert (plan.hot == 20).all()
    assert reasons.hot_level == pytest.approx(np.full((1, 24), 0.5))
    assert (plan.warm == 20).all()  # up to the highest quantile
    assert (reasons.warm_level == 1).all()


def _cost(problem, plan: Solution, **changes) -> float:
    pools = {name: getattr(plan, name).copy() for name in ("hot", "warm", "cold", "leased")} | changes
    coverage, layout, changed = coverage_of(problem), plan.warm_start.layout, Plan(**pools)
    return costs_of(problem, coverage, changed, cover_of(problem, coverage, layout, changed)).total_usd


@pytest.mark.parametrize("seed", range(4))
def test_single_steps_cost_what_the_changed_plan_costs(seed: int) -> None:
    problem = random_problem(seed, resources=2, two_types=True, leases=True)
    plan = solve(problem)
    reasons = reasons_of(problem, plan)
    for m, t in np.ndindex(plan.hot.shape):
        for change, usd in ((1, reasons.more_usd), (-1, reasons.less_usd)):
            if plan.hot[m, t] + change >= 0:
                hot = plan.hot.copy()
                hot[m, t] += change
                assert _cost(problem, plan, hot=hot) - plan.cost_usd == pytest.approx(usd[m, t], abs=1e-9)
            else:
                assert np.isinf(usd[m, t])


def test_no_single_step_saves_where_no_limit_binds() -> None:
    problem = replace(random_problem(2, limits=False), start_cost=0.0)
    reasons = reasons_of(problem, solve(problem))
    assert min(reasons.less_usd.min(), reasons.more_usd.min()) >= -1e-9
    assert min(reasons.warm_less_usd.min(), reasons.warm_more_usd.min()) >= -1e-9


def test_a_line_carries_the_limits_of_its_own_region_and_day() -> None:
    problem = one_place(
        regions=["here", "there"],
        places=["here/web", "there/web"],
        region=[0, 1],
        width=np.full((2, 24, 4, 1), 10.0),
        reach=np.broadcast_to([0.95, 0.7, 0.3, 0.05], (2, 24, 4)),
        option_place=[0, 1],
        option_name=["n2", "n2"],
        value=np.array([40.0, 30.0]),
        family_limit=np.array([[15.0], [100.0]]),
        budget_per_day=24 * 30,
    )
    plan = solve(problem)
    assert [p.kind for p in binding_limits(problem, plan, place=0, block=3)] == ["quota", "budget"]
    assert [p.kind for p in binding_limits(problem, plan, place=1, block=3)] == ["budget"]
