"""A UTC day never costs more than its budget, however often it is planned; where too much is spent already, the least is held and said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headroom.settings import Settings
from infra.day_budget import SpentToday, day_budgets
from infra.targets import desired_state
from tests.infra.forecast_rows import ISSUE, forecasts, set_demand, settings
from tests.infra.planned_rows import planned_rows
from tests.infra.test_held_cost import HOUR, usd_per_hour

DISK = "us-central1/tenants/storage"


def told(chosen: Settings, *, issue: pd.Timestamp, loads: list[float]) -> pd.DataFrame:
    """A forecast of other loads than the last one; disks stay, as they cannot be let go."""
    frame = set_demand(forecasts(chosen, median=4.0, issue=issue), DISK, [10.0] * 72)
    for series in ("us-central1/edge/cpu", "asia-east1/edge/cpu", "us-central1/tenants/cpu", "us-central1/edge/bandwidth"):
        frame = set_demand(frame, series, loads)
    return frame


def held_usd(chosen: Settings, plan: pd.DataFrame, issue: pd.Timestamp) -> float:
    """USD per hour of what the reconciler is asked to hold."""
    targets = ((region, target) for region in chosen.regions for target in desired_state(chosen, plan, issue_time=issue, region=region))
    return sum(usd_per_hour(chosen, region, target) for region, target in targets)


def chain(chosen: Settings, *, begin: pd.Timestamp, hours: int, seed: int) -> dict[pd.Timestamp, float]:
    """USD of every UTC day of plans that are made and acted upon every `hold_hours`, each told another demand."""
    random, spent, known = np.random.default_rng(seed), {}, 0
    for over in range(0, hours, chosen.policy.hold_hours):
        issue = begin + over * HOUR
        loads = (random.uniform(1, 40) * (1 + 0.6 * np.sin(2 * np.pi * (np.arange(72) + random.uniform(0, 24)) / 24))).tolist()
        today = issue.normalize()
        so_far = SpentToday(spent.get(today, 0.0), min(known, issue.hour))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("infra.policies.optimal._SMALL", 0)  # rounded, as large plans are: branch and bound takes seconds for each
            plan = planned_rows(chosen, told(chosen, issue=issue, loads=loads), issue_time=issue, spent=so_far)
        for hour in pd.date_range(issue, periods=chosen.policy.hold_hours, freq="h"):
            spent[hour.normalize()] = spent.get(hour.normalize(), 0.0) + held_usd(chosen, plan, issue)
        known += chosen.policy.hold_hours
    return spent


@pytest.mark.parametrize(("policy", "hold"), [("tiered", 3), ("newsvendor", 4), ("static", 5), ("optimal", 4)])
def test_however_often_it_is_planned_no_day_costs_more_than_its_budget(policy: str, hold: int) -> None:
    chosen = settings(f"{{name: {policy}, hold_hours: {hold}, budget_usd_per_day: 200}}")
    days = chain(chosen, begin=ISSUE + 15 * HOUR, hours=34, seed=1)
    assert max(days.values()) <= 200.02
    whole = ISSUE + pd.Timedelta("24h")
    assert days[whole] > 140, "most of the budget is used"


@pytest.mark.parametrize("policy", ["tiered", "newsvendor"])
def test_what_was_spent_in_the_morning_is_not_there_in_the_evening(policy: str) -> None:
    """The morning was told a quiet evening and took the day's budget; a plan that did not know would spend half of it again."""
    chosen = settings(f"{{name: {policy}, hold_hours: 12, budget_usd_per_day: 200}}")
    noon = ISSUE + 12 * HOUR
    morning = planned_rows(chosen, told(chosen, issue=ISSUE, loads=[40.0] * 12 + [1.0] * 60), issue_time=ISSUE)
    spent = 12 * held_usd(chosen, morning, ISSUE)
    evening = told(chosen, issue=noon, loads=[40.0] * 72)
    knowing, unknowing = (planned_rows(chosen, evening, issue_time=noon, spent=known) for known in (SpentToday(spent, 12), None))
    assert spent + 12 * held_usd(chosen, knowing, noon) <= 200.02
    assert spent + 12 * held_usd(chosen, unknowing, noon) > 200.02


@pytest.mark.slow
@hypothesis_settings(max_examples=8, deadline=None)
@given(
    policy=st.sampled_from(["tiered", "newsvendor", "static", "optimal"]),
    hold=st.integers(3, 8),
    budget=st.floats(40, 800),
    start=st.integers(0, 23),
    seed=st.integers(0, 10_000),
)
def test_a_chain_of_plans_stays_within_every_days_budget(policy: str, hold: int, budget: float, start: int, seed: int) -> None:
    chosen = settings(f"{{name: {policy}, hold_hours: {hold}, budget_usd_per_day: {budget}}}")
    assert max(chain(chosen, begin=ISSUE + start * HOUR, hours=52, seed=seed).values()) <= budget + 0.02


@pytest.mark.parametrize("policy", ["tiered", "optimal"])
@pytest.mark.parametrize("spent", [199.0, 900.0])
def test_where_too_much_is_spent_the_floors_are_held_until_midnight_and_the_plan_says_by_how_much(policy: str, spent: float) -> None:
    """900 of 200 USD: the budget was lowered in the middle of the day."""
    chosen = settings(f"{{name: {policy}, budget_usd_per_day: 200}}")
    issue = ISSUE + 12 * HOUR
    plan = planned_rows(chosen, told(chosen, issue=issue, loads=[20.0] * 72), issue_time=issue, spent=SpentToday(spent, 12))
    today = plan[plan["ds"] < ISSUE + 24 * HOUR]
    machines = today[today["resource"] == "instances"]
    assert machines.groupby("service")["hot"].max().to_dict() == {"edge": 1, "scores": 0, "tenants": 2}
    assert today.loc[today["resource"] == "storage", "hot"].eq(10).all()
    assert today.loc[today["warm"] > 0, "cost_usd"].eq(0).all(), "only machines that cost nothing while they are stopped stand by"
    told_of = machines[["hot", "warm", "cold", "unmet"]].sum(axis=1)
    assert (told_of >= machines["needed"]).all(), "what is not held is bought when it is needed, or told as served by nobody"
    assert today["why"].str.contains(f"{spent:.2f} spent in 12 h since 00:00 UTC").all()
    assert today["why"].str.contains("above what is left").all()
    later = plan[plan["ds"] >= ISSUE + 25 * HOUR]
    assert not later["why"].str.contains("above what is left").any()
    assert later.loc[later["service"] == "edge", "hot"].max() > 1


def test_services_of_the_program_have_their_floors_beside_services_that_take_all_they_can() -> None:
    text = "{name: static, budget_usd_per_day: 100}"
    chosen = settings(text)
    services = {**chosen.services, "tenants": chosen.services["tenants"].model_copy(update={"policy": "optimal"})}
    mixed = chosen.model_copy(update={"services": services})
    plan = planned_rows(mixed, told(chosen, issue=ISSUE, loads=[300.0] * 72), issue_time=ISSUE)
    tenants = plan[(plan["service"] == "tenants") & (plan["resource"] == "instances")]
    assert tenants["policy"].eq("optimal").all()
    assert tenants["hot"].min() >= 2


def test_hours_of_which_nothing_is_known_count_as_their_part() -> None:
    chosen = settings("{budget_usd_per_day: 240}")
    unknown = day_budgets(chosen, issue_time=ISSUE + 18 * HOUR, hours=72)
    assert unknown.begins.tolist() == [0, 6, 30, 54]
    assert unknown.usd.tolist() == [60, 240, 240, 180]
    known = day_budgets(chosen, issue_time=ISSUE + 18 * HOUR, hours=72, spent=SpentToday(30.0, 8, beside_usd_per_hour=2.0))
    assert known.usd.tolist() == [240 - 30 - 100 - 12, 240, 240, 180]


def test_every_hour_that_a_day_is_held_for_counts_in_it() -> None:
    budgets = day_budgets(settings("{hold_hours: 4}"), issue_time=ISSUE + 22 * HOUR, hours=72)
    assert budgets.weights.sum(axis=1).tolist() == pytest.approx([2, 24, 24, 22])
    # From 22:00 a region is held for what any of the four hours to the next allocation and two of booting need.
    assert np.flatnonzero(budgets.weights[0]).tolist() == list(range(6))
