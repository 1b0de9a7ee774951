"""The policies of the replay by themselves: each follows its rule, and the plan of single series is the program's."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from headroom.settings_services import Policy
from headroom.vocabulary import QUANTILES
from infra.capacity_need import INSTANCES
from infra.policies.tiered import TieredPolicy
from infra.program import solve
from infra.replay.forecasts import bands, row_interp, shortage
from infra.replay.joint import problem_of
from infra.replay.policies.planned import Newsvendor, Optimal, Tiered, confidence_of
from infra.replay.policies.reactive import Aws, Google, Reactive, Static, mean_before
from infra.replay.program_steps import step_costs, warm_cover, whole_path
from infra.replay.walk import Known, Outlook
from infra.replay.world import Terms, World, terms_of

HOUR = pd.Timedelta(hours=1)
STATES = np.arange(40.0)


def known(past: np.ndarray, quantiles: np.ndarray | None = None, terms: Terms | None = None, at: int = 0, day: int = 24) -> Known:
    rules = terms or terms_of(World(), HOUR)
    count = len(past)
    outlook = None if quantiles is None else Outlook(quantiles, STATES)
    return Known(at, day, past, outlook, np.full(count, 39.0), np.zeros(count), np.zeros((rules.lead, count)), rules)


def doubtful(level: float, spread: float, steps: int = 6) -> np.ndarray:
    """Shape (1, steps, Q)."""
    return np.broadcast_to(level * np.exp(spread * norm.ppf(QUANTILES)), (1, steps, len(QUANTILES))).copy()


def test_reactive_aims_at_its_target_and_comes_down_after_the_stabilisation() -> None:
    fine = terms_of(World(), pd.Timedelta(minutes=5))
    falling = np.array([[9.0, 6.0, 4.0, 4.0]])
    assert Reactive(0.8).decide(known(falling[:, :1])).ahead == [12]
    assert Reactive(0.8).decide(known(falling[:, :2], terms=fine)).ahead == [12], "10 minutes are two steps of 5"
    assert Reactive(0.8).decide(known(falling[:, :3], terms=fine)).ahead == [8]
    assert Reactive(0.8).decide(known(falling)).ahead == [5]


def test_static_holds_the_peak_known_at_the_start_for_ever() -> None:
    policy = Static()
    assert policy.decide(known(np.array([[3.0, 7.2, 1.0]]))).keep == [8]
    assert policy.decide(known(np.array([[3.0, 7.2, 1.0, 20.0]]), at=1)).keep == [8]


def test_google_rises_before_a_daily_peak_and_never_falls_below_target_tracking() -> None:
    day = np.r_[np.full(12, 2.0), np.full(12, 10.0)]
    past = np.tile(day, 4)[None, :-12]  # it is noon of the fourth day: the peak begins now
    decision = Google(1.0).decide(known(past))
    assert (decision.keep, decision.ahead) == ([10], [10])
    surprise = np.append(past[:, :-1], [[15.0]], axis=1)
    assert Google(1.0).decide(known(surprise)).ahead == [15]


def test_aws_forecasts_every_six_hours_and_never_scales_in_by_it() -> None:
    day = np.r_[np.full(12, 2.0), np.full(12, 10.0)]
    past = np.tile(day, 5)[None, :-12]
    policy = Aws(1.0)
    assert policy.decide(known(past)).keep == [10], "the forecast raises"
    quiet = np.append(past, [[2.0] * 3], axis=1)
    assert policy.decide(known(quiet, at=3)).keep == [10], "made at 0, it still holds at 3"
    busy = np.append(past, [[30.0] * 3], axis=1)
    assert policy.decide(known(busy, at=3)).keep == [30], "the load is above it"


def test_means_of_the_same_time_fall_back_to_days_and_to_the_last_value() -> None:
    past = np.arange(50.0)[None, :]
    assert mean_before(past, 0, 24, 3) == [(26 + 2) / 2]
    assert mean_before(past, 1, 24, 1) == [27]
    assert mean_before(past, 0, 7 * 24, 3) == [(26 + 2) / 2], "no week yet"
    assert mean_before(past[:, :5], 0, 24, 3) == [4]


def test_newsvendor_buys_the_quantile_at_which_one_more_costs_what_it_saves() -> None:
    terms = replace(terms_of(World(), HOUR), hot=1.0, cold=1.0, value=20.0, cold_loss=0.2)
    told = doubtful(20.0, 0.2)
    bought = Newsvendor().decide(known(np.ones((1, 3)), told, terms)).keep.item()
    level = 1 - terms.hot / (terms.value * terms.cold_loss + terms.cold)
    assert bought == pytest.approx(20 * np.exp(0.2 * norm.ppf(level)), abs=1)
    assert Newsvendor(3.0).decide(known(np.ones((1, 3)), told, terms)).keep.item() > bought


@given(st.floats(1, 30), st.floats(0.01, 0.6), st.sampled_from(QUANTILES[6:]))
def test_tiered_is_the_rule_of_the_planner(level: float, spread: float, quantile: float) -> None:
    told = doubtful(level, spread)
    decision = Tiered(quantile, minimum=1).decide(known(np.ones((1, 3)), told))
    needed = max(np.ceil(told[0, 0, QUANTILES.index(quantile)] - 1e-9), 1.0)
    confidence = confidence_of(told[:, :1], Policy().tolerance).item()
    need = pd.DataFrame({"resource": [INSTANCES], "needed": [needed], "minimum": [1.0], "confidence": [confidence]})
    rule = TieredPolicy(Policy(quantile=quantile)).split(need).iloc[0]
    assert (decision.keep.item(), decision.warm_ahead.item()) == (rule["hot"], rule["warm"])  # type: ignore[union-attr]


def test_confidence_is_the_chance_to_be_near_the_median() -> None:
    assert confidence_of(doubtful(20.0, 0.1), 0.15)[0, 0] == pytest.approx(
        norm.cdf(np.log(1.15) / 0.1) - norm.cdf(np.log(0.85) / 0.1), abs=0.02
    )
    assert confidence_of(np.full((1, 1, 13), 7.0), 0.15) == [[1.0]]


def test_without_a_forecast_plans_track_the_load() -> None:
    load = np.array([[3.0, 6.0]])
    for policy in (Optimal(), Newsvendor(), Tiered()):
        assert policy.decide(known(load)).ahead == Reactive().decide(known(load)).ahead


def test_optimal_holds_standby_above_what_is_worth_running() -> None:
    decision = Optimal().decide(known(np.ones((1, 3)), doubtful(20.0, 0.3)))
    assert decision.warm is not None
    assert 15 < decision.keep.item() < 30
    assert decision.warm.item() > 0
    sure = Optimal().decide(known(np.ones((1, 3)), np.full((1, 6, 13), 20.0)))
    assert (sure.keep.item(), sure.ahead.item()) == (20, 20)


def test_an_expensive_start_bridges_a_short_dip() -> None:
    told = np.full((1, 6, 13), 10.0)
    told[:, 2:4] = 6.0
    cheap, dear = (replace(terms_of(World(warm=False), HOUR), start=start) for start in (0.0, 5.0))
    low = [
        Optimal().decide(replace(known(np.ones((1, 3)), told[:, 2:], terms), available=np.array([10.0]))).keep.item()
        for terms in (cheap, dear)
    ]
    assert low == [6, 10]


@st.composite
def _uncertain(draw: st.DrawFn) -> tuple[np.ndarray, Terms, np.ndarray]:
    levels = [draw(st.lists(st.floats(0, 9), min_size=4, max_size=4)) for _ in range(2)]
    spread = draw(st.floats(0, 0.5))
    quantiles = np.array(levels)[..., None] * np.exp(spread * norm.ppf(QUANTILES))
    hot, warm = draw(st.floats(0.2, 1)), draw(st.floats(0, 0.1))
    warm_loss = draw(st.floats(0, 0.3))
    cold_loss = draw(st.floats(warm_loss, 0.9))
    # Serving by a machine bought in need is worth its price: below that the program would rather not serve.
    value, start = draw(st.floats(2, 40)) / (1 - cold_loss), draw(st.floats(0, 1))
    terms = replace(
        terms_of(World(), HOUR),
        hot=hot,
        cold=hot,
        warm=warm,
        warm_loss=warm_loss,
        cold_loss=cold_loss,
        value=value,
        start=start,
        minimum=0,
        lead=0,
    )
    return quantiles, terms, np.array([draw(st.integers(0, 5)), draw(st.integers(0, 5))], dtype=float)


@settings(max_examples=15)
@given(_uncertain())
def test_the_plan_of_single_series_is_the_whole_machine_optimum_of_the_program(case: tuple[np.ndarray, Terms, np.ndarray]) -> None:
    quantiles, terms, held = case
    short = shortage(quantiles, STATES)
    costs = step_costs(short, warm_cover(short, STATES, terms), STATES, terms)
    path = whole_path(costs.copy(), STATES, held, terms)
    at = path.astype(int)[..., None]
    grown = np.maximum(np.diff(np.concatenate([held[:, None], path], axis=1), axis=1), 0.0)
    ours = np.take_along_axis(costs, at, axis=2).sum() + terms.start * grown.sum()
    problem = problem_of(*bands(quantiles), terms, held=held, held_warm=np.zeros(2))
    best = solve(problem, small=10_000)
    assert ours == pytest.approx(best.cost_usd, rel=1e-4, abs=1e-6)
    assert ours >= best.bound_usd - 1e-6


def test_expected_shortage_is_that_of_the_distribution() -> None:
    told = doubtful(20.0, 0.2)[:, :1]
    draws = 20.0 * np.exp(0.2 * np.random.default_rng(0).normal(size=200_000))
    found = shortage(told, STATES)[0, 0]
    for count in (0, 15, 20, 25, 30):
        assert found[count] == pytest.approx(np.maximum(draws - count, 0).mean(), abs=0.12), count
    assert (np.diff(found) <= 1e-12).all()
    assert (np.diff(found, 2) >= -1e-9).all(), "convex"


def test_rows_are_interpolated_as_numpy_does() -> None:
    random = np.random.default_rng(0)
    xp, fp, x = np.sort(random.random((5, 7)), axis=1) * 9, random.random((5, 7)), random.random((5, 11)) * 12
    wanted = np.stack([np.interp(*row) for row in zip(x, xp, fp, strict=True)])
    np.testing.assert_allclose(row_interp(x, xp, fp), wanted)
