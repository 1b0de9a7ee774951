"""The budget of a replay: no UTC day of any policy costs more, and what it does not reach is left unserved where that loses least."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.replay.accounting import settle
from infra.replay.policies import CLAIRVOYANT, POLICIES
from infra.replay.result import steps_frame
from infra.replay.run import Replay, replay, stock_outs
from infra.replay.scene import scene_of
from infra.replay.walk import within
from infra.replay.world import World, terms_of
from tests.infra.replay_scene import HISTORY_DAYS, HOUR, START, forecasts, rows, scene

FIRST = 6  # the replay begins at six o'clock
BEGIN = START + pd.Timedelta(days=HISTORY_DAYS, hours=FIRST)


def replayed(
    world: World, *, names: tuple[str, ...] = (), seed: int = 0, out: float = 0.0, frontier: bool = False, spread: float = 0.08
) -> Replay:
    """Three days less six hours."""
    whole = scene(seed, world)
    walked = replace(whole, history=whole.before(FIRST), demand=whole.demand[:, FIRST:], times=whole.times[FIRST:])
    told = forecasts(whole, spread)
    stock_out = stock_outs(walked, out, 3, seed) if out else None
    return replay(walked, terms_of(world, HOUR), replace(told, at=told.at - FIRST), names, frontier=frontier, stock_out=stock_out)


def day_usd(done: Replay) -> pd.DataFrame:
    """USD by UTC day and policy, from the steps that are written."""
    steps = steps_frame(done)
    return steps.groupby([steps["ds"].dt.normalize(), steps["policy"]], observed=True)["cost_usd"].sum().unstack()


def world(budget: float | None, **other: float) -> World:
    return World(machines_at_peak=12, budget_usd_per_day=budget, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize("budget", [30.0, 90.0, 120.0, 150.0])
def test_no_utc_day_of_any_policy_costs_more_than_the_budget(budget: float) -> None:
    usd = day_usd(replayed(world(budget)))
    assert set(usd) == {*POLICIES, CLAIRVOYANT}
    whole, first = usd.iloc[1:], usd.iloc[0]
    assert whole.to_numpy().max() <= budget + 1e-6
    assert first.max() <= budget * (24 - FIRST) / 24 + 1e-6, "a day that is replayed in part has its part"
    assert whole.to_numpy().max() > 0.97 * budget, "and the money is used"


@pytest.mark.parametrize("stock", [None, 30])
@pytest.mark.parametrize("share", [0.95, 0.7])
def test_every_policy_keeps_to_a_share_of_what_the_plan_that_knew_spends(share: float, stock: int | None) -> None:
    told = World(stock_machines=stock)
    free = replayed(told, spread=0.1)
    whole = day_usd(free)
    limit = share * whole[CLAIRVOYANT].max()
    assert whole["static"].max() > limit / share
    bound = replayed(told.model_copy(update={"budget_usd_per_day": limit}), spread=0.1)
    usd = day_usd(bound)
    assert (usd.max(axis=1) <= limit * bound.scene.times.normalize().value_counts().sort_index() / 24 + 1e-6).all()
    assert min(figures.regret_usd for figures in bound.measured.values()) >= -1e-6
    assert usd[CLAIRVOYANT].max() > 0.97 * limit, "the money is used"


def test_of_a_short_budget_the_plan_makes_more_than_what_follows_the_load() -> None:
    walked, terms = scene(), terms_of(World(), HOUR)
    limit = 0.8 * day_usd(replay(walked, terms, forecasts(walked), ["static"], frontier=False))[CLAIRVOYANT].max()
    bound = replay(walked, replace(terms, budget=limit), forecasts(walked), frontier=False)
    unmet = {name: figures.unmet_volume for name, figures in bound.measured.items()}
    assert unmet["optimal"] < min(unmet[name] for name in ("reactive", "static", "google", "aws"))


def test_a_stock_that_nobody_reaches_changes_nothing_that_the_plan_makes_of_its_money() -> None:
    alone, beside = (replayed(world(120.0, **stock), names=("optimal", "reactive")).measured for stock in ({}, {"stock_machines": 1000.0}))
    assert beside["optimal"].unmet_volume == pytest.approx(alone["optimal"].unmet_volume, rel=0.02)
    assert beside["optimal"].unmet_volume < beside["reactive"].unmet_volume


@settings(max_examples=8)
@given(
    st.integers(0, 10_000),
    st.floats(25.0, 160.0),
    st.floats(0.0, 0.5),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([None, 14.0]),
    st.floats(2.0, 40.0),
    st.sampled_from([5.0, 90.0]),
)
def test_it_is_never_exceeded_in_any_world(
    seed: int, budget: float, start: float, out: float, stock: float | None, value: float, boot: float
) -> None:
    told = World(
        machines_at_peak=12,
        budget_usd_per_day=budget,
        start_usd=start,
        stock_machines=stock,
        value_usd_per_machine_hour=value,
        boot_minutes=boot,
        cold_usd_per_hour=0.6,
    )
    names = ("optimal", "tiered", "reactive", "aws")
    assert day_usd(replayed(told, names=names, seed=seed, out=out)).to_numpy().max() <= budget + 1e-6


def test_no_setting_of_a_frontier_is_above_the_budget() -> None:
    done = replayed(world(100.0), names=("optimal", "reactive"), frontier=True)
    most = 100.0 * len(done.scene.times) / 24
    assert max(point.cost_usd for points in done.frontier.values() for point in points) <= most + 1e-6


@pytest.mark.parametrize("budget", [30.0, 60.0, 90.0, 120.0, 140.0])
def test_nobody_beats_the_plan_that_knew_with_a_budget_either(budget: float) -> None:
    for seed in range(3):
        regret = {name: told.regret_usd for name, told in replayed(world(budget), seed=seed).measured.items()}
        assert min(regret.values()) >= -1e-6, (seed, regret)


def test_a_budget_that_nobody_reaches_changes_nothing() -> None:
    free, far = (steps_frame(replayed(world(budget))) for budget in (None, 400.0))
    pd.testing.assert_frame_equal(free, far)


def test_more_money_never_costs_the_plan_that_knew_more() -> None:
    last = np.inf
    for budget in (30.0, 60.0, 90.0, 110.0, 130.0, 150.0):
        told = replayed(world(budget), names=("static",)).measured[CLAIRVOYANT]
        assert told.cost_usd + told.loss_usd <= last + 1e-6
        last = told.cost_usd + told.loss_usd


def test_money_is_kept_for_the_hours_that_need_it() -> None:
    """What is missed is spread over the day, not all of its evening: without that, nothing is left for the last hours."""
    done = replayed(world(90.0))
    for name in (*POLICIES, CLAIRVOYANT):
        unmet = done.outcomes[name].step.unmet[:, 18:42].sum(axis=0)
        late, whole = unmet[18:].sum() / done.scene.demand[:, 36:42].sum(), unmet.sum() / done.scene.demand[:, 18:42].sum()
        assert late < 1.6 * whole, name


def test_the_minimum_is_held_whatever_the_money() -> None:
    terms = terms_of(world(None), HOUR)
    least = 2 * 24 * terms.hot
    done = replayed(world(least * 1.0001))
    for name, outcome in done.outcomes.items():
        assert (outcome.track.hot >= 1).all(), name


def test_what_is_resumed_and_bought_is_limited_by_the_money_that_is_left() -> None:
    terms = replace(terms_of(World(), HOUR), hot=1.0, warm=0.1, cold=2.0, warm_loss=0.0, cold_loss=0.0)
    demand, hot, warm = np.array([[10.0], [2.0]]), np.array([[4.0], [1.0]]), np.array([[3.0], [0.0]])
    free = settle(demand, hot, warm, terms)
    half = settle(demand, hot, warm, terms, use_usd=np.array([(3 * 1 + 4 * 2) / 2]))
    np.testing.assert_allclose([half.resumed, half.bought], [free.resumed / 2, free.bought / 2])
    assert half.unmet.sum() == pytest.approx((3 + 4) / 2)
    assert not settle(demand, hot, warm, terms, use_usd=np.array([0.0])).bought.any()


def test_at_five_minutes_the_day_is_that_of_the_clock() -> None:
    table = rows(days=HISTORY_DAYS)
    fine = table.assign(ds=START + (table["ds"] - START) / 12)
    begin = START + pd.Timedelta(hours=10)
    told = World(machines_at_peak=12, budget_usd_per_day=20.0, minimum_machines=0)
    walked = scene_of(fine, pd.Timedelta(minutes=5), begin, begin + pd.Timedelta(hours=5), told)
    usd = day_usd(replay(walked, terms_of(told, pd.Timedelta(minutes=5)), None, ["reactive"], frontier=False))
    assert usd.to_numpy().max() <= 20.0 * 5 / 24 + 1e-6


def test_machines_that_have_no_room_are_shared_in_whole_ones_that_fill_it() -> None:
    found = within(np.array([3.0, 3.0, 3.0, 1.0]), 7.5)
    assert found.sum() == 7
    assert (found <= [3, 3, 3, 1]).all()
    assert (found == np.floor(found)).all()
    np.testing.assert_array_equal(within(np.array([2.0, 1.0]), 3.0), [2.0, 1.0])
    assert not within(np.array([2.0, 1.0]), -1.0).any()
