"""Scarce capacity shared fairly: floors first, by weight, nothing wasted, and nothing gained by asking for more than is needed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom.errors import BadInputError
from infra.program import Problem, bands_from_quantiles, share_fairly, solve
from tests.infra.program_problems import one_place, random_problem

RULES = pytest.mark.parametrize("rule", ["dominant", "proportional"])
NEEDS = np.array([10.0, 30.0, 50.0, 70.0])


def _services(asked: np.ndarray = NEEDS, bid: np.ndarray | float = 3.0, **changes: object) -> Problem:
    """Four services with a known demand of so many machines each, 100 machines between them."""
    count = asked.size
    given = {
        "places": [f"here/s{i}" for i in range(count)],
        "region": np.zeros(count),
        "width": asked.reshape(-1, 1, 1, 1),
        "block_hours": np.ones(4),
        "value": np.broadcast_to(bid, count) * asked,
        "reach": 1.0,
        "option_place": np.arange(count),
        "option_name": ["n2"] * count,
        "family_limit": 100,
    }
    given["width"] = np.broadcast_to(given["width"], (count, 4, 1, 1))
    return one_place(**(given | changes))


@RULES
def test_small_requests_are_met_and_large_ones_get_equal_shares(rule: str) -> None:
    plan = solve(share_fairly(_services(), rule=rule))
    assert plan.hot[:, 0].tolist() == [10, 30, 30, 30]


@RULES
def test_weights_shift_the_shares(rule: str) -> None:
    plan = solve(share_fairly(_services(), rule=rule, weight=np.array([1.0, 1.0, 1.0, 3.0])))
    assert plan.hot[:, 0].tolist() == [10, 18, 18, 54]


@RULES
def test_weights_may_differ_from_block_to_block(rule: str) -> None:
    weight = np.ones((4, 4))
    weight[3, 2:] = 3.0
    plan = solve(share_fairly(_services(), rule=rule, weight=weight))
    assert plan.hot.T.tolist() == [[10, 30, 30, 30]] * 2 + [[10, 18, 18, 54]] * 2


@RULES
def test_floors_come_first(rule: str) -> None:
    plan = solve(share_fairly(_services(floors=np.array([0.0, 0.0, 40.0, 0.0])), rule=rule))
    # 40 are the floor; the other 60: 10 more are asked for by s0 and s2 each, and 20 remain for s1 and s3 each.
    assert plan.hot[:, 0].tolist() == [10, 20, 50, 20]


@RULES
def test_nothing_is_held_back_when_there_is_enough(rule: str) -> None:
    plan = solve(share_fairly(_services(family_limit=160), rule=rule))
    assert plan.hot[:, 0].tolist() == NEEDS.tolist()


@RULES
@pytest.mark.parametrize("liar", range(4))
@pytest.mark.parametrize("factor", [1.5, 4.0, 20.0])
def test_asking_for_more_than_is_needed_gains_nothing(rule: str, liar: int, factor: float) -> None:
    honest = solve(share_fairly(_services(), rule=rule)).hot[liar]
    claim = NEEDS.copy()
    claim[liar] *= factor
    greedy = solve(share_fairly(_services(claim), rule=rule)).hot[liar]
    useful = np.minimum(greedy, NEEDS[liar])
    assert (useful <= honest).all()


def _uncertain(asked: np.ndarray, **changes: object) -> Problem:
    """The same services, when nobody knows their demand for sure: quantiles of 0.6 to 1.8 times the medians `asked`."""
    quantiles = asked[:, None, None, None] * np.array([0.6, 1.0, 1.4, 1.8])[:, None]
    width, reach = bands_from_quantiles(np.array([0.1, 0.5, 0.9, 0.99]), np.broadcast_to(quantiles, (asked.size, 4, 4, 1)))
    return _services(asked, **({"width": width, "reach": reach, "value": 8 * width[..., 0]} | changes))


def _useful(plan: Problem, liar: int) -> np.ndarray:
    """What the liar gets of the machines that it would hold for its true demand if it were alone."""
    alone = solve(_uncertain(NEEDS, family_limit=np.inf)).hot[liar]
    return np.minimum(solve(plan).hot[liar], alone)


@pytest.mark.parametrize("liar", range(4))
@pytest.mark.parametrize("factor", [1.5, 4.0, 20.0])
def test_under_uncertainty_only_fair_shares_make_over_asking_useless(liar: int, factor: float) -> None:
    claim = NEEDS.copy()
    claim[liar] *= factor
    for rule in ("dominant", "proportional"):
        honest, greedy = (_useful(share_fairly(_uncertain(asked), rule=rule), liar) for asked in (NEEDS, claim))
        assert (greedy <= honest).all()
    honest, greedy = (_useful(_uncertain(asked), liar) for asked in (NEEDS, claim))
    assert greedy.sum() > honest.sum(), "by value alone, which policy.fairness: bids stands for, a larger claim gets more"


@RULES
def test_a_higher_bid_takes_nothing_from_the_others(rule: str) -> None:
    bids = np.array([3.0, 3.0, 3.0, 300.0])
    fair = solve(share_fairly(_services(bid=bids), rule=rule))
    assert fair.hot[:, 0].tolist() == [10, 30, 30, 30]
    assert solve(_services(bid=bids)).hot[3, 0] == 70  # by bids alone the loudest gets all that it asks for


def test_the_two_rules_differ_where_services_take_from_several_limits() -> None:
    # s0 takes dear machines: quota and budget both bind. Shares of the dominant resource are equal under one rule, not under the other.
    problem = _services(np.array([60.0, 60.0]), hot_price=np.array([1.0, 2.5]), family_limit=80, budget_per_day=24 * 100, bid=30.0)
    dominant, proportional = (solve(share_fairly(problem, rule=rule), whole=False).hot[:, 0] for rule in ("dominant", "proportional"))
    largest = np.maximum(dominant / 80, dominant * [1.0, 2.5] / 100)
    assert largest[0] == pytest.approx(largest[1])
    # Kelly: the largest sum of logs within both limits, found here on a grid.
    first = np.linspace(1, 60, 591)
    second = np.minimum(np.minimum(80 - first, (100 - first) / 2.5), 60)
    best = first[np.argmax(np.log(first) + np.log(np.maximum(second, 1e-9)))]
    assert proportional[0] == pytest.approx(best, abs=0.2)
    assert abs(dominant[0] - proportional[0]) > 1


@RULES
@pytest.mark.parametrize("seed", range(4))
def test_whole_plans_keep_to_their_shares(rule: str, seed: int) -> None:
    problem = share_fairly(random_problem(seed, places=6, resources=2, two_types=True, budget=True), rule=rule)
    plan = solve(problem, small=0)
    use = np.zeros((6, problem.shape[1]))
    np.add.at(use, problem.option_place, problem.option_quota[:, None] * (plan.hot + plan.warm + plan.cold))
    assert (use <= problem.share_limit[:, 0] + 1e-6).all()
    assert np.isfinite(problem.share_limit).any()


@RULES
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_shares_of_what_is_scarce_add_up_to_all_of_it(rule: str, seed: int) -> None:
    problem = random_problem(seed, places=6)
    weight = np.random.default_rng(seed).uniform(0.2, 5, 6)
    shares = share_fairly(problem, rule=rule, weight=weight).share_limit[:, 0]
    for g in range(len(problem.regions)):
        mine = shares[problem.region == g]
        scarce = np.isfinite(mine).all(axis=0)
        assert (scarce == np.isfinite(mine).any(axis=0)).all()
        assert mine[:, scarce].sum(axis=0) == pytest.approx(problem.family_limit[g, 0, scarce], rel=1e-6)


def test_unknown_rules_and_bad_weights_are_refused() -> None:
    with pytest.raises(BadInputError, match="fairness rule 'loudest' is unknown"):
        share_fairly(_services(), rule="loudest")
    with pytest.raises(BadInputError, match=r"weights .* above 0 for each of the 4 places"):
        share_fairly(_services(), weight=np.array([1.0, 1.0, 0.0, 1.0]))


def test_shares_leave_the_problem_whole() -> None:
    problem = _services()
    fair = share_fairly(problem)
    assert replace(fair, share_limit=np.inf).family_limit.tolist() == problem.family_limit.tolist()
    assert np.isfinite(fair.share_limit).all()
