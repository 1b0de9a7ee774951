"""Boosts by signal: for long enough above the limit, known at the issue time, once, from the budget, and never by a dry run."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from headroom.allocation import make_plan
from headroom.cli import app
from headroom.runtime import Runtime
from headroom.signals import measured_signals
from headroom_airflow.allocation import AllocationRequest, plan_for
from infra.boosts import Boost, boosts_known, grant_boost
from infra.ledger import Ledger
from infra.trouble import boosts_wanted
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts
from tests.infra.installation import HOUR, STEP, installation, measure

TEXT = (
    SETTINGS.replace("{BUDGET}", "{name: optimal, boost_hours_per_week: 5}")
    .replace("requests_per_s: {unit: 1/s}}", "requests_per_s: {unit: 1/s}, failed: {unit: '1'}, p99_ms: {unit: ms}}")
    .replace(
        "    criticality: low\n",
        "    criticality: low\n    trouble: {errors: {metric: failed, above: 0.01}, latency: {metric: p99_ms}}\n    slo: {latency_ms: 300}\n",
    )
    .replace("    criticality: high\n", "    criticality: high\n    trouble: {errors: {metric: failed}, minutes: 30, boost_hours: 3}\n")
)
ERRORS, LATENCY, EDGE = "us-central1/tenants/errors", "us-central1/tenants/latency", "asia-east1/edge/errors"
TROUBLE = "by signal: errors up to 0.05, above 0.01 for 60 min in us-central1 from 2026-07-07 23:00 to 00:00"


@pytest.fixture
def opened(tmp_path: Path) -> Runtime:
    return installation(tmp_path, TEXT)


def _known(opened: Runtime) -> list[Boost]:
    return boosts_known(_ledger(opened))


def _ledger(opened: Runtime) -> Ledger:
    return Ledger.open(opened.home.database_url)


def _wanted(opened: Runtime, issue: pd.Timestamp = ISSUE) -> list[str]:
    measured = measured_signals(opened.lake, opened.settings, start=issue - HOUR, end=issue, as_of=issue)
    return [str(boost) for boost in boosts_wanted(opened.settings, measured, issue_time=issue)]


def _live(opened: Runtime, issue: pd.Timestamp = ISSUE) -> tuple[list[str], list[str]]:
    made = make_plan(opened, issue_time=issue, grant_boosts=True)
    return made.boosted, made.unboosted


def test_a_service_above_its_limit_in_the_last_hour_is_boosted_and_the_ledger_says_why(opened: Runtime) -> None:
    measure(opened, ERRORS, {-2: 0.0, -1: 0.05})
    measure(opened, LATENCY, {-1: 299.0})
    _live(opened)
    assert _known(opened) == [Boost("tenants", ISSUE, ISSUE + 2 * HOUR, TROUBLE)]
    plan = opened.lake.read("plans", start=ISSUE, end=ISSUE + HOUR)
    line = plan[(plan["service"] == "tenants") & (plan["resource"] == "instances")].sort_values("ds")["why"]
    assert TROUBLE in line.iloc[0]
    assert "boosted" not in line.iloc[2]


def test_signals_are_neither_forecast_nor_planned(opened: Runtime) -> None:
    measure(opened, ERRORS, {-1: 0.05})
    _live(opened)
    plan = opened.lake.read("plans", start=ISSUE, end=ISSUE + HOUR)
    assert set(plan["resource"]) == {"instances", "bandwidth", "storage"}
    assert not {"errors", "latency"} & {series.resource for series in opened.settings.series}


def test_limits_come_from_the_slo_where_none_is_set_and_the_most_critical_is_first(opened: Runtime) -> None:
    measure(opened, LATENCY, {-1: 412.0})
    measure(opened, EDGE, {-1: 0.0011})
    assert _wanted(opened) == [
        "edge from 2026-07-08 00:00 to 2026-07-08 03:00 UTC: "
        "by signal: errors up to 0.0011, above 0.001 for 60 min in asia-east1 from 2026-07-07 23:00 to 00:00",
        "tenants from 2026-07-08 00:00 to 2026-07-08 02:00 UTC: "
        "by signal: latency up to 412 ms, above 300 ms for 60 min in us-central1 from 2026-07-07 23:00 to 00:00",
    ]


@pytest.mark.parametrize(("steps", "troubled"), [(2, False), (3, True)])
def test_trouble_lasts_a_quarter_of_the_hour_in_one_region(opened: Runtime, steps: int, troubled: bool) -> None:
    stamps = [ISSUE - HOUR + 3 * number * STEP for number in range(steps)]
    rows = pd.DataFrame({"region": "us-central1", "service": "tenants", "resource": "errors", "ds": stamps, "y": 0.02, "minutes": 5.0})
    elsewhere = rows.assign(region="asia-east1", ds=rows["ds"] + STEP).iloc[:2]
    earlier = rows.assign(ds=rows["ds"] - HOUR)
    wanted = boosts_wanted(opened.settings, pd.concat([rows, elsewhere, earlier]), issue_time=ISSUE)
    assert bool(wanted) == troubled


def test_what_is_at_the_limit_earlier_or_not_yet_known_is_no_trouble(opened: Runtime) -> None:
    measure(opened, ERRORS, {-2: 0.5, -1: 0.01})
    measure(opened, ERRORS, {-1: 0.5}, available=ISSUE + HOUR)
    assert _wanted(opened) == []
    assert _live(opened) == ([], [])


def test_asking_again_is_the_same_boost_and_a_running_one_is_not_granted_twice(opened: Runtime) -> None:
    measure(opened, ERRORS, {-1: 0.05, 0: 0.05, 1: 0.05})
    opened.lake.replace("forecasts", forecasts(opened.settings, median=100.0, hours=24), start=ISSUE, end=ISSUE + HOUR)
    first = _live(opened)
    assert _live(opened) == first != ([], [])
    assert _live(opened, ISSUE + HOUR) == ([], []), "it still runs"
    assert [boost.start for boost in _known(opened)] == [ISSUE]
    _live(opened, ISSUE + 2 * HOUR)
    assert [boost.start for boost in _known(opened)] == [ISSUE, ISSUE + 2 * HOUR], "it ended, and the trouble did not"


def test_a_boost_by_hand_is_enough(opened: Runtime) -> None:
    measure(opened, ERRORS, {-1: 0.05})
    by_hand = grant_boost(opened.settings, _ledger(opened), Boost("tenants", ISSUE - HOUR, ISSUE + HOUR, "asked for"))
    _live(opened)
    assert _known(opened) == [by_hand]


def test_an_exhausted_budget_is_reported_by_name_and_does_not_stop_the_plan(opened: Runtime) -> None:
    measure(opened, ERRORS, {-1: 0.05})
    grant_boost(opened.settings, _ledger(opened), Boost("edge", ISSUE - 24 * HOUR, ISSUE - 20 * HOUR, "slow"))
    made = make_plan(opened, issue_time=ISSUE, grant_boosts=True)
    assert made.rows == 7 * 72
    assert made.boosted == []
    assert made.unboosted == [f"tenants gets no boost: 1 hours are left of policy.boost_hours_per_week 5; {TROUBLE}"]
    assert made.facts()["unboosted"] == made.unboosted


def test_a_dry_run_grants_none(opened: Runtime) -> None:
    measure(opened, ERRORS, {-1: 0.05})
    for why in ("asked for by the param dry_run", "the forecast was backfilled"):
        plan_for(opened, AllocationRequest(ISSUE, None, None, dry_run=True, why_dry=why))
    assert _known(opened) == []
    facts = plan_for(opened, AllocationRequest(ISSUE, None, None, dry_run=False, why_dry=""))["facts"]
    assert facts["boosted"] == [str(boost) for boost in _known(opened)] != []


def test_the_list_of_boosts_has_it(opened: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    now = pd.Timestamp.now(tz="UTC").floor("h")
    boost = Boost("tenants", now, now + 2 * HOUR, TROUBLE)
    grant_boost(opened.settings, _ledger(opened), boost)
    monkeypatch.setenv("HEADROOM_HOME", str(opened.home.root))
    monkeypatch.setenv("HEADROOM_CAPACITY", str(opened.home.capacity_file))
    shown = CliRunner().invoke(app, ["boosts"], catch_exceptions=False).output
    assert TROUBLE in " ".join(shown.split())
