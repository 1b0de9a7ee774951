"""Machines of several types are never added up as if they were of one size: in the outcomes, the charts, the summary and the holdings."""

from pathlib import Path

import pandas as pd
import pytest

from headroom.home import Home
from headroom.lake import Lake
from headroom.report_page.chart_data import read_charts
from headroom.schemas import TABLES
from headroom.settings import Settings, parse_settings
from headroom.summary import PoolLine, summarise
from headroom.vocabulary import SeriesId
from infra.bill import held_hours
from infra.ledger import Ledger
from infra.ledger_rows import Holding
from models.held_capacity import with_held
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts
from tests.infra.planned_rows import planned_rows

_HOUR = pd.Timedelta("1h")
EDGE = "us-central1/edge/cpu"
N2, N2D = "n2-standard-8", "n2d-standard-16"


@pytest.fixture(scope="module")
def settings() -> Settings:
    text = SETTINGS.replace(f"machine_type: {N2},", f"machine_type: {N2}, also: [{N2D}],")
    return parse_settings(text.replace("N2_CPUS: 1000", "N2_CPUS: 1000, N2D_CPUS: 32").replace("{BUDGET}", "{name: optimal}"))


@pytest.fixture(scope="module")
def forecast(settings: Settings) -> pd.DataFrame:
    return forecasts(settings, median=100.0, hours=24)


@pytest.fixture(scope="module")
def plan(settings: Settings, forecast: pd.DataFrame) -> pd.DataFrame:
    return planned_rows(settings, forecast, issue_time=ISSUE)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.from_environment({"HEADROOM_HOME": str(tmp_path), "HEADROOM_DATABASE_URL": f"sqlite:///{tmp_path}/headroom.db"})


def _vcpus(plan: pd.DataFrame) -> pd.Series:
    """vCPU hot per hour for edge in us-central1."""
    rows = plan[(plan["service"] == "edge") & (plan["region"] == "us-central1") & (plan["resource"] == "instances")]
    assert set(rows["machine_type"]) == {N2, N2D}, "the quota must force a mix"
    return (rows["hot"] * rows["machine_type"].map({N2: 8.0, N2D: 16.0})).groupby(rows["ds"]).sum()


def test_outcomes_sum_what_was_held_in_the_unit_of_the_series(settings: Settings, forecast: pd.DataFrame, plan: pd.DataFrame) -> None:
    rows = forecast.loc[forecast["region"] == "us-central1", ["issue_time", "unique_id", "region", "service", "resource", "ds"]]
    judged = with_held(rows.assign(y=300.0), plan, settings)
    assert len(judged) == len(rows)
    edge = judged[judged["unique_id"] == EDGE].set_index("ds")
    pd.testing.assert_series_equal(edge["held"], _vcpus(plan), check_names=False)
    assert (edge["unmet"] == (300.0 - edge["held"]).clip(lower=0)).all()
    cost = (
        plan[(plan["service"] == "edge") & (plan["region"] == "us-central1") & (plan["resource"] == "instances")]
        .groupby("ds")["cost_usd"]
        .sum()
    )
    pd.testing.assert_series_equal(edge["cost_usd"], cost, check_names=False)
    assert judged.loc[judged["resource"] == "memory", "held"].isna().all(), "names of machine types do not say their memory"


def test_charts_and_summary_show_all_types(settings: Settings, forecast: pd.DataFrame, plan: pd.DataFrame, home: Home) -> None:
    lake = Lake(home.lake_uri)
    lake.replace("forecasts", forecast, start=ISSUE, end=ISSUE + _HOUR)
    lake.replace("plans", plan, start=ISSUE, end=ISSUE + _HOUR)
    chart = read_charts(settings, lake, issue_time=None)[SeriesId.parse(EDGE)]
    assert chart.capacity["ds"].is_unique
    pd.testing.assert_series_equal(
        chart.capacity.set_index("ds")["hot"], _vcpus(plan) * 0.5, check_names=False, check_freq=False, check_index_type=False
    )
    ledger = Ledger.open(home.database_url)
    hot = Holding("us-central1-a", "edge", "instances", "hot", "r", 30, "instances", 11.0, N2)
    ledger.record_result("us-central1", ISSUE, [hot, Holding("", "edge", "instances", "warm", "g", 2, "instances", 1.0, N2D)], [])
    edge = next(s for s in summarise(settings, home, lake).services if (s.region, s.service) == ("us-central1", "edge"))
    assert sum(edge.tier_hours.values()) == 24
    machines = {pool.machine_type: pool for pool in edge.pools if pool.resource == "instances"}
    assert (machines[N2].hot, machines[N2].warm, machines[N2].planned) == (30, 0, False)
    assert (machines[N2D].hot, machines[N2D].warm, machines[N2D].planned) == (0, 2, False)
    assert all(isinstance(pool, PoolLine) for pool in edge.pools)
    hours = held_hours(ledger, start=ISSUE, end=ISSUE + _HOUR)
    assert hours[["machine_type", "pool", "amount"]].to_numpy().tolist() == [[N2, "hot", 30], [N2D, "warm", 2]]
    ledger.engine.dispose()


def test_the_declared_key_of_a_plan_names_the_type() -> None:
    assert TABLES["plans"].keys[-1] == "machine_type"
