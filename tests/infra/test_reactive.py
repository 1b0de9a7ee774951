"""The reactive policy in a plan: what was measured last, down only slowly, told apart from what nobody measured, and known at the issue time."""

from pathlib import Path

import pandas as pd
import pytest

from headroom.allocation import make_plan
from headroom.schemas import TABLES, conform
from infra.boosts import Boost
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts, settings
from tests.infra.installation import HOUR, installation, measure
from tests.infra.planned_rows import planned_rows

EDGE = "us-central1/edge/cpu"
GBPS = "us-central1/edge/bandwidth"


def _measured(**series: dict[int, float]) -> pd.DataFrame:
    names = {"edge": EDGE, "gbps": GBPS, "cpu": "us-central1/tenants/cpu", "memory": "us-central1/tenants/memory"}
    rows = [(names[name], ISSUE + hour * HOUR, y) for name, hours in series.items() for hour, y in hours.items()]
    return pd.DataFrame(rows, columns=["unique_id", "ds", "y"])


def _rows(
    measured: pd.DataFrame | None, service: str, resource: str = "instances", *, policy: str = "{name: reactive}", **changes: object
) -> pd.DataFrame:
    asked = settings(policy)
    plan = planned_rows(asked, forecasts(asked, median=100.0), issue_time=ISSUE, measured=measured, **changes)
    assert conform(TABLES["plans"], plan).num_rows == (2 + 2 + 2 + 1) * 72
    chosen = (plan["service"] == service) & (plan["resource"] == resource) & (plan["region"] == "us-central1")
    return plan[chosen].sort_values("ds")


def test_hot_follows_the_last_measurement_at_the_target_and_cold_is_what_the_forecast_asks_above() -> None:
    rows = _rows(_measured(edge={-2: 300.0, -1: 61.0}), "edge")
    assert set(rows["hot"]) == {16}  # 61 vCPU / (8 x 0.5)
    assert set(rows["warm"]) == {0}
    assert set(rows["cold"]) == {19}  # the forecast's q0.9 needs 35
    assert rows["why"].iloc[0].startswith("reactive: measured 2026-07-07 23:00 to 00:00: 61 vCPU at a target of 50%; q0.9 need 140 vCPU")


def test_it_holds_what_was_measured_even_where_the_forecast_says_less() -> None:
    rows = _rows(_measured(edge={-1: 400.0}, gbps={-1: 200.01}), "edge")
    assert set(rows["hot"]) == {100}
    assert set(rows["cold"]) == {0}
    bandwidth = _rows(_measured(gbps={-1: 200.01}), "edge", "bandwidth")
    assert set(bandwidth["hot"]) == {200.05}
    assert bandwidth["why"].iloc[0].startswith("reactive: measured 2026-07-07 23:00 to 00:00: 200 Gbit/s; q0.9 need")


def test_it_scales_in_only_to_the_most_of_the_window() -> None:
    falling = _measured(edge={-4: 400.0, -3: 200.0, -2: 120.0, -1: 40.0})
    held = {hours: set(_rows(falling, "edge", policy=f"{{name: reactive, stabilisation_hours: {hours}}}")["hot"]) for hours in (1, 2, 3)}
    assert held == {1: {10}, 2: {30}, 3: {50}}
    why = _rows(falling, "edge", policy="{name: reactive, stabilisation_hours: 3}")["why"].iloc[0]
    assert "measured 2026-07-07 21:00 to 00:00: 200 vCPU" in why


@pytest.mark.parametrize(
    "measured", [None, _measured(), _measured(edge={-4: 9.0, 0: 9.0})], ids=["nothing", "no row", "old, and of the future"]
)
def test_without_a_recent_measurement_it_holds_the_forecast_and_says_so(measured: pd.DataFrame | None) -> None:
    rows = _rows(measured, "edge")
    assert set(rows["hot"]) == {35}
    assert rows["why"].iloc[0].startswith("reactive: cpu not measured since 2026-07-07 21:00, so as forecast; q0.9 need 140 vCPU")


def test_each_resource_of_a_service_counts_and_storage_is_held_as_needed() -> None:
    both = _rows(_measured(cpu={-1: 8.0}, memory={-1: 100.0}), "tenants")
    assert set(both["hot"]) == {7}  # 100 GiB / 16; 8 vCPU would take 2
    assert "100 GiB at a target of 100%" in both["why"].iloc[0]
    one = _rows(_measured(cpu={-1: 8.0}), "tenants")
    assert set(one["hot"]) == {9}, "140 GiB of the forecast"
    assert "memory not measured since 2026-07-07 21:00, so as forecast" in one["why"].iloc[0]
    storage = _rows(_measured(cpu={-1: 8.0}), "tenants", "storage")
    assert set(storage["hot"]) == {140}
    assert storage["why"].iloc[0].startswith("reactive: held as needed: a disk cannot wait")


def test_the_minimum_stays_hot() -> None:
    assert set(_rows(_measured(cpu={-1: 0.0}, memory={-1: 0.0}), "tenants")["hot"]) == {2}


def test_a_boost_takes_nothing_from_what_is_measured() -> None:
    trouble = [Boost("edge", ISSUE, ISSUE + 2 * HOUR, "slow")]
    hot = {y: _rows(_measured(edge={-1: y}), "edge", boosts=trouble)["hot"].tolist() for y in (40.0, 400.0)}
    assert hot[40.0][0] > 35 > hot[40.0][5] == 10
    assert set(hot[400.0]) == {100}


def test_an_allocation_follows_the_lake_and_a_backfill_makes_the_same_plan(tmp_path: Path) -> None:
    opened = installation(tmp_path, SETTINGS.replace("{BUDGET}", "{name: reactive}"))
    measure(opened, EDGE, {-2: 300.0, -1: 61.0})
    first = make_plan(opened, issue_time=ISSUE)
    plan = opened.lake.read("plans", start=ISSUE, end=ISSUE + HOUR)
    line = plan[(plan["service"] == "edge") & (plan["resource"] == "instances") & (plan["region"] == "us-central1")]
    assert set(line["hot"]) == {16}
    measure(opened, EDGE, {-1: 800.0}, available=ISSUE + HOUR)
    measure(opened, EDGE, {0: 800.0})
    assert make_plan(opened, issue_time=ISSUE).digest == first.digest, "what became known later changes nothing"
