"""The summary: every figure is the one in the table it comes from."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from headroom.console import open_console
from headroom.errors import BadInputError
from headroom.home import Home
from headroom.lake import Lake
from headroom.settings import Settings
from headroom.summary import ServiceSummary, Summary, print_summary, summarise
from infra.ledger import Ledger
from tests.report.demo_state import ISSUE

State = tuple[Settings, Home, Lake]


@pytest.fixture(scope="module")
def summary(state: State) -> Summary:
    return summarise(*state)


def _service(summary: Summary, region: str, service: str) -> ServiceSummary:
    return next(s for s in summary.services if (s.region, s.service) == (region, service))


def test_every_region_and_service_is_there(state: State, summary: Summary) -> None:
    assert {(s.region, s.service) for s in summary.services} == {(s.region, s.service) for s in state[0].series}
    assert summary.issue_time == ISSUE
    assert summary.hours == 72


def test_the_peak_is_the_highest_median_with_its_interval(state: State, summary: Summary) -> None:
    rows = state[2].read("forecasts", start=ISSUE, end=ISSUE + pd.Timedelta("1h"), where={"unique_id": "us-central1/tenants/memory"})
    top = rows.loc[rows["0.5"].idxmax()]
    peak = next(d for d in _service(summary, "us-central1", "tenants").demands if d.resource == "memory")
    assert (peak.median, peak.low, peak.high, peak.at) == (top["0.5"], top["0.1"], top["0.9"], top["ds"])
    assert peak.unit == "GiB"


def test_costs_are_those_of_the_plans_first_day(state: State, summary: Summary) -> None:
    plan = state[2].read("plans", start=ISSUE, end=ISSUE + pd.Timedelta("1h"))
    day = plan[plan["ds"] < ISSUE + pd.Timedelta("24h")]
    assert summary.usd_per_day == pytest.approx(day["cost_usd"].sum())
    assert summary.peak_usd_per_day == pytest.approx(day["peak_cost_usd"].sum())


def test_the_held_cost_is_the_ledgers(state: State, summary: Summary) -> None:
    held = Ledger.open(state[1].database_url).held()
    assert summary.held_usd_per_day == pytest.approx(held["usd_per_hour"].sum() * 24)


def test_what_is_held_comes_from_the_ledger_and_else_from_the_plan(state: State, summary: Summary) -> None:
    plan = state[2].read("plans", start=ISSUE, end=ISSUE + pd.Timedelta("1h"))
    first = plan[(plan["ds"] == ISSUE) & (plan["resource"] == "instances")].set_index(["region", "service"])
    for service, planned in (("edge", False), ("batch", True)):
        pool = _service(summary, "us-central1", service).pools[0]
        assert pool.planned == planned
        assert (pool.hot, pool.warm) == tuple(first.loc[("us-central1", service), ["hot", "warm"]])


def test_confidence_and_tier_are_those_of_the_hour_that_needs_most(state: State, summary: Summary) -> None:
    plan = state[2].read("plans", start=ISSUE, end=ISSUE + pd.Timedelta("1h"))
    rows = plan[(plan["region"] == "asia-east1") & (plan["service"] == "api") & (plan["resource"] == "instances")]
    top = rows.loc[rows["needed"].idxmax()]
    service = _service(summary, "asia-east1", "api")
    assert (service.confidence, service.tier, service.why) == (top["confidence"], top["tier"], top["why"])
    assert sum(service.tier_hours.values()) == 72


def test_champion_and_data(summary: Summary) -> None:
    assert summary.champion is not None
    assert (summary.champion.version, summary.champion.score) == ("3", 0.742)
    assert summary.data.quarantined == 7
    assert summary.data.by_rule == {"value is negative": 5, "timestamp is in the future": 2}
    assert summary.data.last is not None
    assert summary.data.last < ISSUE


def test_it_prints_what_was_asked_for(state: State, summary: Summary, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(summary, open_console())
    text = capsys.readouterr().out
    for service in summary.services:
        assert service.service in text
        assert f"{service.confidence:.2f} {service.tier} " in text
    for words in (
        "0.742 x the pinball loss of the best naive",
        "7 quarantined",
        "holding the peak all day",
        str(state[1].report),
        "* planned",
    ):
        assert words in text


def test_the_champion_is_the_one_of_the_issue_time(state: State) -> None:
    before = summarise(*state, issue_time=ISSUE - pd.Timedelta("24h"))
    assert before.issue_time == ISSUE - pd.Timedelta("24h")
    assert before.champion is not None
    assert before.champion.version == "2"


def test_a_lake_without_a_forecast_is_refused_with_the_remedy(state: State, tmp_path: Path) -> None:
    settings, home, _ = state
    with pytest.raises(BadInputError, match="table forecasts has no row; run `headroom score` first"):
        summarise(settings, dataclasses.replace(home, root=tmp_path), Lake(str(tmp_path / "lake")))


def test_the_bill_is_what_the_hours_held_beside_their_plans(state: State, summary: Summary) -> None:
    assert summary.spent is not None
    plan = state[2].read("plans", start=ISSUE, end=ISSUE + pd.Timedelta("1h"))
    held = Ledger.open(state[1].database_url).held()
    assert summary.spent.hours == 1
    assert summary.spent.held_usd == summary.spent.unchanged_usd == pytest.approx(held["usd_per_hour"].sum())
    assert summary.spent.plan_usd == pytest.approx(plan.loc[plan["ds"] == ISSUE, "cost_usd"].sum())
