"""The plan: enough, in time, within the budget, explained; and bad input refused by name."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headroom.errors import BadInputError
from headroom.schemas import TABLES, conform
from infra.budget import approval_needed, plan_usd_per_day
from infra.prices import BANDWIDTH_USD_PER_GBPS_HOUR, list_prices
from tests.infra.forecast_rows import ISSUE, forecasts, set_demand, settings
from tests.infra.planned_rows import planned_rows

LOAD = "us-central1/scores/requests"


def _rows(plan: pd.DataFrame, service: str, resource: str = "instances", region: str = "us-central1") -> pd.DataFrame:
    return plan[(plan["service"] == service) & (plan["resource"] == resource) & (plan["region"] == region)].sort_values("ds")


def _steady(**changes: float) -> pd.DataFrame:
    return planned_rows(settings(), forecasts(settings(), **changes), issue_time=ISSUE)


def test_the_plan_fits_the_declared_table() -> None:
    plan = _steady()
    assert conform(TABLES["plans"], plan).num_rows == (2 + 2 + 2 + 1) * 72
    assert (plan["available_at"] == ISSUE).all()
    assert set(plan["model_version"]) == {"7"}


def test_demand_becomes_machines() -> None:
    plan = _steady(median=100.0)  # q0.9 = 140
    assert set(_rows(plan, "edge")["needed"]) == {35}  # 140 vCPU / (8 x 0.5)
    assert set(_rows(plan, "tenants")["needed"]) == {35}  # cpu binds: 140 vCPU / 4; memory would take 140 GiB / 16 = 9
    assert set(_rows(plan, "scores")["needed"]) == {4}  # 140 requests/s / (4 x 0.5 x 20) = 3.5
    assert set(_rows(plan, "edge", "bandwidth")["needed"]) == {140}
    assert set(_rows(plan, "tenants", "storage")["needed"]) == {140}
    assert set(_rows(plan, "tenants", "storage")["machine_type"]) == {"pd-balanced"}


def test_memory_decides_when_it_needs_more_machines() -> None:
    frame = set_demand(forecasts(settings()), "us-central1/tenants/memory", [161.0] * 72)
    plan = planned_rows(settings(), frame, issue_time=ISSUE)
    assert set(_rows(plan, "tenants")["needed"]) == {11}
    assert "161 GiB -> 11 x n2-standard-4" in _rows(plan, "tenants")["why"].iloc[0]


def test_a_quantile_between_two_columns_is_interpolated() -> None:
    between = settings("{quantile: 0.85}")
    plan = planned_rows(between, forecasts(between, median=100.0), issue_time=ISSUE)
    assert set(_rows(plan, "tenants", "storage")["needed"]) == {135}


def test_the_least_sure_resource_sets_the_tier_of_its_service() -> None:
    frame = forecasts(settings())
    frame.loc[frame["unique_id"] == "us-central1/edge/bandwidth", "confidence"] = 0.7
    plan = planned_rows(settings(), frame, issue_time=ISSUE)
    assert set(_rows(plan, "edge")["tier"]) == {"medium"}
    assert set(_rows(plan, "edge", region="asia-east1")["tier"]) == {"high"}


def test_low_confidence_keeps_the_minimum_hot_and_the_rest_warm() -> None:
    rows = _rows(_steady(median=100.0, confidence=0.3), "tenants")
    assert set(rows["hot"]) == {2}
    assert set(rows["warm"]) == {33}
    assert (
        rows["why"]
        .iloc[0]
        .startswith("confidence 0.300 <= 0.6: minimum hot, rest in warm standby; q0.9 need 140 vCPU -> 35 x n2-standard-4")
    )


def test_cost_is_list_price_of_what_is_held() -> None:
    plan = _steady(median=100.0, confidence=0.3)
    rows = _rows(plan, "tenants")
    expected = 2 * 0.194236 + 33 * list_prices().warm_usd_per_hour("n2-standard-4", "us-central1")
    np.testing.assert_allclose(rows["cost_usd"], expected)
    np.testing.assert_allclose(rows["peak_cost_usd"], 35 * 0.194236)
    np.testing.assert_allclose(_rows(_steady(median=100.0), "edge", "bandwidth")["cost_usd"], 140 * BANDWIDTH_USD_PER_GBPS_HOUR)


def test_the_peak_cost_is_the_highest_hour_held_all_the_time() -> None:
    frame = set_demand(forecasts(settings()), LOAD, [40.0] * 71 + [400.0])
    rows = _rows(planned_rows(settings(), frame, issue_time=ISSUE), "scores")
    np.testing.assert_allclose(rows["peak_cost_usd"], 10 * 0.194236)
    assert rows["cost_usd"].sum() < rows["peak_cost_usd"].sum() / 8


def test_capacity_is_there_before_its_hour() -> None:
    demand = [10.0] * 72
    demand[10] = 100.0
    frame = set_demand(forecasts(settings()), "us-central1/edge/cpu", demand)
    rows = _rows(planned_rows(settings(), frame, issue_time=ISSUE), "edge")
    assert list(rows["hot"].iloc[7:12]) == [3, 25, 25, 25, 3]  # boots in 90 minutes: two hours ahead
    assert "already what the next hours need" in rows["why"].iloc[8]
    assert list(rows["needed"].iloc[7:12]) == [3, 3, 3, 25, 3]


@hypothesis_settings(max_examples=40)
@given(
    demand=st.lists(st.floats(0, 5000), min_size=12, max_size=12),
    confidence=st.lists(st.floats(0, 1), min_size=12, max_size=12),
    boot=st.integers(0, 200),
    resume=st.integers(0, 100),
)
def test_every_hour_holds_what_the_hours_within_its_lead_need(demand: list[float], confidence: list[float], boot: int, resume: int) -> None:
    model = settings("{budget_usd_per_day: 1000000}")
    scores = model.services["scores"]
    timed = scores.model_copy(update={"capacity": scores.capacity.model_copy(update={"boot_minutes": boot, "resume_minutes": resume})})
    model = model.model_copy(update={"services": {**model.services, "scores": timed}})
    frame = set_demand(forecasts(model, hours=12), LOAD, demand)
    frame.loc[frame["unique_id"] == LOAD, "confidence"] = confidence
    rows = _rows(planned_rows(model, frame, issue_time=ISSUE), "scores").reset_index(drop=True)
    sure = rows["tier"] == "high"
    hours = np.arange(12)
    for hour in hours:
        within_boot = (hours >= hour) & (hours <= hour + -(-boot // 60))
        within_standby = (hours >= hour) & (hours <= hour + -(-(boot + min(resume, boot)) // 60))  # stopped ones boot again
        assert rows["hot"][hour] >= rows["needed"][within_boot & sure].max() or not (within_boot & sure).any()
        assert rows["hot"][hour] + rows["warm"][hour] >= rows["needed"][within_standby].max()


def test_bandwidth_without_an_interconnect_is_cold_and_says_so() -> None:
    rows = _rows(_steady(), "edge", "bandwidth", "asia-east1")
    assert set(rows["hot"]) == {0}
    assert set(rows["cold"]) == {14}
    assert set(rows["cost_usd"]) == {0}
    assert "no interconnect in the region" in rows["why"].iloc[0]


def test_a_tight_budget_takes_from_the_least_critical_first_and_says_so() -> None:
    free = _steady(median=100.0)
    tight = settings(f"{{budget_usd_per_day: {plan_usd_per_day(free) - 100:.0f}}}")
    plan = planned_rows(tight, forecasts(tight, median=100.0), issue_time=ISSUE)
    assert plan_usd_per_day(plan) <= tight.policy.budget_usd_per_day
    gave = plan["why"].str.contains("from hot to warm")
    assert set(plan[gave]["service"]) == {"tenants"}
    assert set(plan[gave]["hot"] + plan[gave]["warm"]) == {35}
    assert (plan.groupby("ds")["cost_usd"].sum() * 24 <= tight.policy.budget_usd_per_day + 1e-6).all()
    pd.testing.assert_frame_equal(plan[~gave], free[~gave])


def test_a_budget_that_no_day_can_meet_is_refused_with_the_amount_that_would_do() -> None:
    tight = settings("{budget_usd_per_day: 5}")
    with pytest.raises(
        BadInputError,
        match=r"the day from 2026-07-09T00:00:00\+00:00 costs .* only minimum_instances hot, above policy.budget_usd_per_day 5",
    ):
        planned_rows(tight, forecasts(tight, median=100.0), issue_time=ISSUE)


def test_only_the_asked_regions_are_planned() -> None:
    plan = planned_rows(settings(), forecasts(settings()), issue_time=ISSUE, regions=["asia-east1"])
    assert set(plan["region"]) == {"asia-east1"}
    with pytest.raises(BadInputError, match=r"region 'atlantis' is not in capacity.yaml; known: us-central1, asia-east1"):
        planned_rows(settings(), forecasts(settings()), issue_time=ISSUE, regions=["atlantis"])


def test_an_older_forecast_serves_the_hours_it_has_left_and_says_so() -> None:
    later = ISSUE + pd.Timedelta("6h")
    plan = planned_rows(settings(), forecasts(settings()), issue_time=later)
    assert plan["ds"].min() == later
    assert plan["ds"].nunique() == 66
    assert plan["why"].str.contains("forecast of 2026-07-08T00:00:00+00:00, the last good one", regex=False).all()


def test_a_forecast_from_the_future_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"issued 2026-07-08T06:00:00.*after the plan's issue time"):
        planned_rows(settings(), forecasts(settings(), issue=ISSUE + pd.Timedelta("6h")), issue_time=ISSUE)


def _spoilt(column: str, value: object) -> pd.DataFrame:
    frame = forecasts(settings())
    frame.loc[(frame["unique_id"] == LOAD) & (frame["horizon"] == 3), column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (_spoilt("0.9", np.nan), f"{LOAD} at 2026-07-08T02:00:00.*quantile 0.9 is nan"),
        (_spoilt("0.99", np.inf), f"{LOAD} at .*quantile 0.99 is inf"),
        (_spoilt("0.01", -1.0), f"{LOAD} at .*quantile 0.01 is -1.0"),
        (_spoilt("0.5", 0.5), f"{LOAD} at 2026-07-08T02:00:00.*quantile 0.5 is 0.5, below quantile 0.4, .*; quantiles must not cross"),
        (_spoilt("confidence", np.nan), f"{LOAD} at .*confidence nan is not between 0 and 1"),
        (forecasts(settings()).query("horizon != 5"), "lacks hour 2026-07-08T04:00:00"),
        (forecasts(settings()).query(f"unique_id != '{LOAD}' or horizon < 70"), f"{LOAD} lacks hour 2026-07-10T21:00:00"),
        (forecasts(settings()).query("horizon != 1"), "lacks hour 2026-07-08T00:00:00"),
        (pd.concat([forecasts(settings())] * 2), "has two rows for 2026-07-08T00:00:00"),
        (forecasts(settings()).head(0), "no row for us-central1, asia-east1 from 2026-07-08"),
        (forecasts(settings()).drop(columns="confidence"), "column 'confidence' is missing"),
        (pd.concat([forecasts(settings()), forecasts(settings(), issue=ISSUE - pd.Timedelta("1h"))]), "rows of 2 issue times"),
    ],
)
def test_a_bad_forecast_is_refused_by_name(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        planned_rows(settings(), frame, issue_time=ISSUE)


def test_a_service_without_a_whole_forecast_is_left_out_and_named_and_the_others_are_planned(caplog: pytest.LogCaptureFixture) -> None:
    whole = planned_rows(settings(), forecasts(settings()), issue_time=ISSUE)
    region, service, _ = LOAD.split("/")
    plan = planned_rows(settings(), forecasts(settings()).query(f"unique_id != '{LOAD}'"), issue_time=ISSUE)
    assert f"{service} in {region} is not planned: no forecast of {LOAD}; what it holds stays" in caplog.text
    others = whole[~((whole["region"] == region) & (whole["service"] == service))]
    pd.testing.assert_frame_equal(plan, others.reset_index(drop=True))


def test_bandwidth_is_not_planned_where_a_part_of_its_sum_is_unknown() -> None:
    full = forecasts(settings())
    shares = full[full["resource"] == "bandwidth"].drop_duplicates(["region", "service"])
    region, gone = shares.iloc[0][["region", "unique_id"]]
    plan = planned_rows(settings(), full[full["unique_id"] != gone], issue_time=ISSUE)
    assert plan[(plan["region"] == region) & (plan["resource"] == "bandwidth")].empty


def test_no_whole_service_at_all_is_refused() -> None:
    full = forecasts(settings())
    one_each = full.drop_duplicates(["region", "service"])["unique_id"]
    with pytest.raises(BadInputError, match="no service has all of its series; score again"):
        planned_rows(settings(), full[~full["unique_id"].isin(one_each)], issue_time=ISSUE)


def test_a_series_that_nobody_asked_for_is_refused() -> None:
    frame = forecasts(settings())
    frame.loc[frame["unique_id"] == LOAD, ["unique_id", "service"]] = ["us-central1/ghost/requests", "ghost"]
    frame = pd.concat([frame, forecasts(settings()).query(f"unique_id == '{LOAD}'")])
    with pytest.raises(BadInputError, match="series us-central1/ghost/requests is not asked for"):
        planned_rows(settings(), frame, issue_time=ISSUE)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(BadInputError, match="no policy 'bold'; there is: tiered"):
        planned_rows(settings(), forecasts(settings()), issue_time=ISSUE, policy="bold")


def test_an_increase_above_the_limit_needs_a_person() -> None:
    plan = _steady(median=100.0)
    limited = settings("{approval_usd_per_day: 100}")
    cost = plan_usd_per_day(plan)
    first = approval_needed(limited, plan, held_usd_per_day=0)
    assert first.needed
    assert first.increase_usd_per_day == pytest.approx(cost)
    assert "above policy.approval_usd_per_day 100.00" in first.reason
    assert not approval_needed(limited, plan, held_usd_per_day=cost - 99).needed
    assert not approval_needed(limited, plan, held_usd_per_day=cost + 500).needed
