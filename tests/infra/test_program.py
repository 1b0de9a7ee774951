"""The linear program: the right amounts, every limit kept, prices of limits, and an oracle that agrees."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

from headroom.errors import BadInputError
from infra.program import Leases, bands_from_quantiles, solve
from tests.infra.program_oracle import oracle_usd
from tests.infra.program_problems import one_place, random_problem


def test_machines_are_bought_up_to_the_critical_quantile() -> None:
    plan = solve(one_place())  # a band pays while its chance x 3 USD exceeds 1 USD: chances 0.95 and 0.7
    assert (plan.hot == 20).all()
    assert plan.cost_usd == pytest.approx(24 * (20 * 1.0 + 3 * 10 * (0.3 + 0.05)))
    assert plan.bound_usd == pytest.approx(plan.cost_usd)


def test_standby_covers_what_is_rarely_reached() -> None:
    plan = solve(one_place(warm_price=0.1, warm_loss=0.05, warm_use_price=1.0))
    # Hot saves 0.95 x (0.15 + 1.0) > 1 - 0.1 in the first band only; standby pays in all but the last: 0.05 x (3 - 1.15) < 0.1.
    assert (plan.hot == 10).all()
    assert (plan.warm == 20).all()


def test_what_can_be_bought_when_needed_is_not_held() -> None:
    plan = solve(one_place(cold_use_price=1.0, cold_loss=0.0))
    assert (plan.hot == 0).all()
    assert (plan.cover[2] == 1).all()


def test_a_binding_limit_leaves_the_least_valuable_demand_unserved() -> None:
    two = random_problem(1, limits=False)
    narrow = random_problem(1)
    assert solve(narrow).cost_usd >= solve(two).cost_usd
    plan = solve(
        one_place(
            places=["here/web", "here/batch"],
            region=[0, 0],
            width=np.full((2, 24, 4, 1), 10.0),
            reach=np.broadcast_to([0.95, 0.7, 0.3, 0.05], (2, 24, 4)),
            value=np.array([30.0, 20.0]),
            option_place=[0, 1],
            option_name=["n2", "n2"],
            family_limit=25,
        )
    )
    # 25 machines: web's first band (2.85 USD a machine), web's second (2.1) before batch's first (1.9), which gets the other 5.
    assert plan.hot[:, 0].tolist() == [20, 5]
    (price,) = plan.shadow_prices
    assert price.kind == "quota"
    assert price.name == "all in here"
    assert price.usd_per_day == pytest.approx(24 * (0.95 * 2 - 1.0))
    assert "saves 21.60 USD/day" in str(price)


def test_the_budget_is_never_exceeded_and_its_price_is_what_a_dollar_saves() -> None:
    plan = solve(one_place(budget_per_day=24 * 15))
    assert plan.hot.sum() == 24 * 15
    (price,) = plan.shadow_prices
    assert price.kind == "budget"
    assert price.usd_per_day == pytest.approx(0.7 * 3 - 1.0)  # a dollar more a day buys one machine-hour of the second band


def test_machines_asked_for_now_come_after_their_lead_time() -> None:
    plan = solve(one_place(held=4, ready_from=3))
    assert plan.hot[0, :4].tolist() == [4, 4, 4, 20]


def test_standby_resumes_sooner_than_machines_boot() -> None:
    plan = solve(one_place(held=4, held_warm=3, warm_price=0.9, resume_from=1, ready_from=3))
    assert plan.hot[0, :4].tolist() == [4, 7, 7, 20]


def test_no_more_is_bought_than_can_be() -> None:
    plan = solve(one_place(cold_use_price=1.0, cold_loss=0.1, hot_price=1.2, cold_limit=5.0))
    free = solve(one_place(cold_use_price=1.0, cold_loss=0.1, hot_price=1.2))
    # A hot machine saves chance x (0.3 + 1.0): more than 1.2 in the first band only. With a limit, what cannot be bought is worth holding.
    assert (free.hot == 10).all()
    assert (plan.cold <= 5).all()
    assert (plan.hot > free.hot).all()


def test_a_minimum_hold_and_a_flap_budget_bind() -> None:
    width = np.full((1, 24, 4, 1), 10.0)
    width[0, 1::2] = 1.0  # every other hour next to nothing
    jumping = solve(one_place(width=width, value=width[..., 0] * 3))
    assert set(jumping.hot[0]) == {2.0, 20.0}
    held = solve(one_place(width=width, value=width[..., 0] * 3, hold_hours=24.0))
    assert (np.diff(held.hot[0]) >= 0).all()
    flapping = solve(one_place(width=width, value=width[..., 0] * 3, flap_limit=40.0))
    moves = np.abs(np.diff(flapping.hot[0], prepend=0.0)).sum()
    assert moves <= 40


def test_rounding_keeps_a_flap_budget_by_itself_when_machines_only_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Demand falls by half a machine an hour; the program stops 10.5 machines, whole machines must stop ten."""
    width = np.zeros((1, 24, 4, 1))
    width[0, :, 0, 0] = 20 - 0.5 * np.arange(24)
    monkeypatch.setattr(importlib.import_module("infra.program.whole_machines"), "remade", lambda *_: pytest.fail("branch and bound"))
    plan = solve(one_place(width=width, value=width[..., 0] * 3, held=20, flap_limit=10.5), small=0)
    assert 20 - plan.hot[0, -1] == np.abs(np.diff(plan.hot[0], prepend=20.0)).sum() == 10


def test_a_service_takes_what_it_needs_of_each_resource_from_the_cheapest_mix_of_types() -> None:
    # 10 of cpu and 30 of memory per band: standard machines (1, 1) at 1 USD, high memory (1, 4) at 1.3 USD.
    width = np.broadcast_to([10.0, 30.0], (1, 24, 1, 2))
    plan = solve(
        one_place(
            resources=["cpu", "memory"],
            width=width,
            reach=1.0,
            value=1000.0,
            option_place=[0, 0],
            option_name=["standard", "highmem"],
            option_size=[[1.0, 1.0], [1.0, 4.0]],
            hot_price=[1.0, 1.3],
        )
    )
    # x + y >= 10 and x + 4 y >= 30: x = 10/3, y = 20/3; whole: 3 and 7 (12.1 USD).
    assert plan.bound_usd == pytest.approx(24 * (10 / 3 + 1.3 * 20 / 3))
    assert plan.hot[:, 0].tolist() == [3, 7]


def test_a_region_that_is_short_leases_from_a_peer_within_what_the_peer_lends() -> None:
    leases = Leases(option=0, lender=1, price=1.5, gbps=2.0, link=0, links=["there to here"], link_capacity=14.0, lending_limit=9.0)
    plan = solve(one_place(regions=["here", "there"], family_limit=np.array([[8.0], [100.0]]), leases=leases))
    assert (plan.hot == 8).all()
    assert (plan.leased == 7).all()  # 14 Gbit/s carry 7 machines; the peer would lend 9
    assert {price.kind for price in plan.shadow_prices} == {"quota", "link"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("resources", "two_types"), [(1, False), (2, True)])
def test_cvxpy_finds_the_same_optimum(seed: int, resources: int, two_types: bool) -> None:
    problem = random_problem(seed, resources=resources, two_types=two_types, budget=True, movement=seed % 2 == 0, leases=True)
    assert solve(problem, whole=False).bound_usd == pytest.approx(oracle_usd(problem), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_cvxpy_finds_the_same_optimum_where_machines_ran_before_and_starts_count_ahead(seed: int) -> None:
    problem = random_problem(seed, resources=2, two_types=True, movement=True, limits=False)
    block = np.arange(problem.shape[1])
    run_on = np.where((problem.hold_hours > 0)[:, None], np.clip(np.floor(problem.held / 2)[:, None] - block, 0, None), 0.0)
    days = np.broadcast_to(np.stack([block // 4, (block + 1) // 4])[:, None], (2, len(problem.places), block.size))
    last = int(days.max())
    limit = np.append(np.full((len(problem.places), last), 3.0), np.full((len(problem.places), 1), 9.0), axis=1)
    changed = replace(problem, young=run_on, flap_day=days, flap_limit=limit, ready_from=np.asarray(0))
    plan = solve(changed, whole=False)
    assert plan.bound_usd == pytest.approx(oracle_usd(changed), rel=1e-6)
    free = replace(changed, young=np.asarray(0.0), flap_limit=np.asarray(np.inf))
    assert plan.bound_usd > solve(free, whole=False).bound_usd + 1e-3


def test_a_warm_start_finds_the_same_optimum_in_fewer_iterations() -> None:
    before = solve(random_problem(3, places=6, blocks=12, budget=True, leases=True), whole=False)
    changed = random_problem(3, places=6, blocks=12, budget=True, leases=True)
    changed = replace(changed, width=changed.width * 1.03)
    cold = solve(changed, whole=False)
    warm = solve(changed, whole=False, warm_start=before)
    assert warm.bound_usd == pytest.approx(cold.bound_usd)
    assert warm.iterations < cold.iterations


@pytest.mark.parametrize("small", [0, 400], ids=["rounded", "branch and bound"])
@pytest.mark.parametrize(
    ("bound", "changes"),
    [({}, 23), ({"start_cost": 0.02}, 23), ({"start_cost": 0.06}, 0), ({"hold_hours": 6.0}, 3), ({"flap_limit": 1.0}, 0)],
    ids=["nothing", "a start below the saving", "a start above it", "a least running time", "a flap budget"],
)
def test_machine_types_whose_prices_alternate_change_places_only_where_that_is_cheaper(small: int, bound: dict, changes: int) -> None:
    """By turns one of two types is 5 cents an hour cheaper: starts, stops and holds are counted for each type by itself."""
    by_turns = np.tile([1.0, 1.05], 12)
    two = {"option_place": [0, 0], "option_name": ["n2", "n2d"], "option_size": np.ones((2, 1)), "held": [20, 0]}
    plan = solve(one_place(**two, hot_price=np.array([by_turns, by_turns[::-1]]), **bound), small=small)
    assert (plan.hot.sum(axis=0) == 20).all()
    assert (np.diff(plan.hot, axis=1) != 0).any(axis=0).sum() == changes


def test_quantiles_become_bands() -> None:
    levels, quantiles = np.array([0.1, 0.5, 0.9]), np.array([4.0, 10.0, 13.0]).reshape(1, 1, 3, 1)
    width, reach = bands_from_quantiles(levels, quantiles)
    assert width.ravel().tolist() == [4, 6, 3]
    assert reach.ravel() == pytest.approx([0.95, 0.7, 0.3])
    merged, chance = bands_from_quantiles(levels, quantiles, bands=2)
    assert merged.sum() == 13
    assert (merged[..., 0] * chance).sum() == pytest.approx((width[..., 0] * reach).sum())
    with pytest.raises(BadInputError, match=r"forecast of place 0, block 0, level 0\.5, resource 0 is nan"):
        bands_from_quantiles(levels, np.array([4.0, np.nan, 13.0]).reshape(1, 1, 3, 1))


def _two_peaks(**changes: object) -> float:
    """Share of two services' demand that can be bought when it comes: 10 machines each, one in the first hour and one in the second, room for 10."""
    width = np.zeros((2, 24, 4, 1))
    width[0, 0] = width[1, 1] = 2.5
    given = {
        "places": ["here/web", "here/batch"],
        "region": [0, 0],
        "width": width,
        "reach": np.broadcast_to([0.95, 0.7, 0.3, 0.05], (2, 24, 4)),
        "hot_price": 100.0,
        "cold_use_price": 1.0,
        "option_place": [0, 1],
        "option_name": ["n2", "n2"],
        "family_limit": 10,
    }
    given |= changes
    plan = solve(one_place(**given))
    assert (plan.hot == 0).all()
    return float(np.vdot(plan.cover[2], given["width"][..., 0]) / given["width"].sum())


def test_machines_to_be_bought_count_against_a_limit_in_their_own_hour_region_and_family() -> None:
    together = np.zeros((2, 24, 4, 1))
    together[:, 0] = 2.5
    assert _two_peaks() == 1.0, "two peaks of two hours"
    assert _two_peaks(width=together) == 0.5, "two peaks of one hour need room at once"
    assert _two_peaks(width=together, regions=["here", "there"], region=[0, 1], places=["here/web", "there/batch"]) == 1.0
    assert _two_peaks(width=together, families=["n2", "c2"], option_family=[0, 1], option_name=["n2", "c2"]) == 1.0
    assert _two_peaks(width=together, family_limit=20) == 1.0
