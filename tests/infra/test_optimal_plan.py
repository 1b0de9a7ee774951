"""The optimal policy in a plan: within quota and budget, the valuable first, in time, explained, and made of the forecast alone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headroom.errors import BadInputError, SettingsError
from headroom.schemas import TABLES, conform
from headroom.settings import Settings, parse_settings
from infra.boosts import Boost
from infra.capacity_need import LINE
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts, set_demand
from tests.infra.planned_rows import planned_rows

VCPUS = {"edge": 8.0, "tenants": 4.0, "scores": 4.0}


def _settings(*, quota: int = 1000, budget: float = 10_000, services: str = "") -> Settings:
    text = SETTINGS.replace("N2_CPUS: 1000", f"N2_CPUS: {quota}").replace("{BUDGET}", f"{{name: optimal, budget_usd_per_day: {budget}}}")
    return parse_settings(text.replace("    criticality: low\n", f"    criticality: low\n{services}"))


def _plan(settings: Settings, frame: pd.DataFrame | None = None, **changes: float) -> pd.DataFrame:
    return planned_rows(settings, forecasts(settings, median=100.0, **changes) if frame is None else frame, issue_time=ISSUE)


def _rows(plan: pd.DataFrame, service: str, resource: str = "instances", region: str = "us-central1") -> pd.DataFrame:
    return plan[(plan["service"] == service) & (plan["resource"] == resource) & (plan["region"] == region)].sort_values("ds")


def _vcpus(plan: pd.DataFrame) -> pd.Series:
    machines = plan[plan["resource"] == "instances"]
    used = (machines["hot"] + machines["warm"] + machines["cold"]) * machines["service"].map(VCPUS)
    return used.groupby([machines["region"], machines["ds"]]).sum()


def test_the_plan_fits_the_declared_table_and_is_made_of_the_forecast_alone() -> None:
    plan = _plan(_settings())
    assert conform(TABLES["plans"], plan).num_rows == (2 + 2 + 2 + 1) * 72
    assert set(plan["policy"]) == {"optimal"}
    pd.testing.assert_frame_equal(plan, _plan(_settings()))


def test_the_dearer_the_failure_the_more_is_hot() -> None:
    """The same quantiles for all: edge (high) buys further into the tail than tenants (low)."""
    plan = _plan(_settings())
    edge, tenants = (_rows(plan, name)["hot"].min() / _rows(plan, name)["needed"].min() for name in ("edge", "tenants"))
    assert edge > 1 > tenants


def test_what_is_known_for_sure_is_held_exactly() -> None:
    settings = _settings()
    frame = forecasts(settings)
    for series, demand in (("us-central1/edge/cpu", 64.0), ("us-central1/tenants/cpu", 40.0), ("us-central1/edge/bandwidth", 2.0)):
        frame = set_demand(frame, series, [demand] * 72)
    plan = _plan(settings, set_demand(frame, "us-central1/tenants/memory", [10.0] * 72))
    assert set(_rows(plan, "edge")["hot"]) == {16}  # 64 vCPU / (8 x 0.5)
    assert set(_rows(plan, "tenants")["hot"]) == {10}
    assert set(_rows(plan, "edge", "bandwidth")["hot"]) == {2.0}


def test_machines_are_asked_for_before_the_hour_that_needs_them() -> None:
    settings = _settings()
    peak = [8.0] * 40 + [80.0] + [8.0] * 31
    plan = _plan(settings, set_demand(forecasts(settings), "us-central1/edge/cpu", peak))
    hot = _rows(plan, "edge")["hot"].tolist()
    assert hot[38:41] == [20, 20, 20], "a boot takes 90 minutes, so two hours ahead"
    assert hot[37] < 20
    assert hot[41] < 20


def test_a_quota_is_kept_and_priced() -> None:
    plan = _plan(_settings(quota=250))
    assert _vcpus(plan).max() <= 250
    why = _rows(plan, "edge")["why"].iloc[0]
    assert "one more N2 vCPU quota in us-central1 saves" in why
    assert "USD/day" in why


def test_a_budget_is_kept_and_the_least_valuable_demand_gives() -> None:
    wide, tight = _plan(_settings()), _plan(_settings(budget=1200))
    assert tight.groupby((tight["ds"] - ISSUE) // pd.Timedelta("24h"))["cost_usd"].sum().max() <= 1200
    kept = {name: _rows(tight, name)["hot"].sum() / _rows(wide, name)["hot"].sum() for name in ("edge", "tenants")}
    assert kept["edge"] > 0.9 > kept["tenants"]
    assert "one more USD per day of policy.budget_usd_per_day saves" in _rows(tight, "edge")["why"].iloc[0]


def test_what_a_quota_leaves_unserved_is_unmet_and_not_cold() -> None:
    rows = _rows(_plan(_settings(quota=250)), "tenants")
    assert set(rows["hot"]) == {2}
    assert set(rows["cold"]) == {0}
    assert set(rows["unmet"]) == {33}
    assert (
        rows["why"]
        .str.contains("; 33 n2-standard-4 left unserved at the planned quantile: N2_CPUS of us-central1 binds;", regex=False)
        .all()
    )


def test_what_a_budget_does_not_hold_is_still_bought_when_it_is_needed() -> None:
    rows = _rows(_plan(_settings(budget=300)), "tenants")
    assert (rows["cold"] > 0).all()
    assert set(rows["unmet"]) == {0}
    assert not rows["why"].str.contains("unserved").any()


def test_what_a_bid_does_not_pay_for_is_unmet_and_says_so() -> None:
    bid = "    bid: [{up_to: 40, usd_per_unit_hour: 9}, {usd_per_unit_hour: 0.001}]\n"
    rows = _rows(_plan(_settings(services=bid)), "tenants")
    assert set(rows["unmet"]) == {25}
    assert (
        rows["why"].str.contains("25 n2-standard-4 left unserved .*: machines bought when they are needed come too late or cost more").all()
    )


def test_a_budget_leaves_what_cannot_be_bought_in_time_unserved_and_is_named() -> None:
    """Edge boots for 90 minutes: what is bought when it is needed serves nobody."""
    slow = SETTINGS.replace("resume_minutes: 40", "resume_minutes: 60").replace("{BUDGET}", "{name: optimal, budget_usd_per_day: 700}")
    rows = _rows(_plan(parse_settings(slow)), "edge")
    short = rows[rows["unmet"] > 0]
    assert len(short) >= 12
    assert set(rows["cold"]) == {0}
    assert short["why"].str.contains("left unserved at the planned quantile: policy.budget_usd_per_day binds", regex=False).all()


def test_limits_in_conflict_are_named_as_in_the_settings_with_the_hour() -> None:
    quota = (
        r"no plan meets the minimum_instances of asia-east1/edge, us-central1/edge, us-central1/tenants: "
        r".*regions.us-central1.quotas N2_CPUS is 6, 16 would do at 2026-07-08 00:00"
    )
    with pytest.raises(BadInputError, match=quota):
        _plan(_settings(quota=6))
    budget = (
        r"policy.budget_usd_per_day is 10, of which storage and services of other policies leave 9\.54, \S+ would do on "
        r"2026-07-\d\d.*Raise these limits or lower minimum_instances"
    )
    with pytest.raises(BadInputError, match=budget):
        _plan(_settings(budget=10))


def test_a_reason_says_what_was_bought_and_what_a_step_would_cost() -> None:
    rows = _rows(_plan(_settings()), "edge")
    assert rows["why"].str.contains("optimal: hot covers q0.9").all()
    assert rows["why"].str.contains("one less would cost +", regex=False).all()
    assert rows["why"].iloc[0].endswith("q0.9 need 140 vCPU -> 35 x n2-standard-8")


def test_a_service_may_have_a_policy_of_its_own_and_the_program_gets_what_is_left_of_the_budget() -> None:
    settings = _settings(budget=1200, services="    policy: static\n")
    plan = _plan(settings)
    assert set(_rows(plan, "tenants")["policy"]) == {"static"}
    assert set(_rows(plan, "edge")["policy"]) == {"optimal"}
    assert _rows(plan, "tenants")["hot"].min() == 35
    assert plan.groupby((plan["ds"] - ISSUE) // pd.Timedelta("24h"))["cost_usd"].sum().max() <= 1200


def test_what_cannot_be_reserved_stays_cold() -> None:
    rows = _rows(_plan(_settings()), "edge", "bandwidth", "asia-east1")
    assert (rows["hot"] == 0).all()
    assert (rows["cold"] == rows["needed"]).all()


def test_an_unknown_policy_is_refused_with_the_names_there_are() -> None:
    settings = _settings()
    with pytest.raises(BadInputError, match="no policy 'best'; there is: tiered, newsvendor, reactive, static, optimal"):
        planned_rows(settings, forecasts(settings), issue_time=ISSUE, policy="best")


def test_the_newsvendor_buys_the_quantile_that_pays_and_static_the_peak() -> None:
    settings = _settings()
    frame = forecasts(settings, median=100.0)
    peak = set_demand(frame, "us-central1/scores/requests", [40.0] * 71 + [400.0])
    newsvendor, static = (planned_rows(settings, peak, issue_time=ISSUE, policy=name) for name in ("newsvendor", "static"))
    assert _rows(newsvendor, "scores")["hot"].iloc[0] == 1
    assert set(_rows(static, "scores")["hot"]) == {10}
    assert _rows(newsvendor, "edge")["hot"].iloc[0] > _rows(newsvendor, "tenants")["hot"].iloc[0] > 0
    assert set(_rows(newsvendor, "tenants", "storage")["hot"]) == {140}, "storage stays at policy.quantile"


@hypothesis_settings(max_examples=15)
@given(quota=st.integers(16, 600), budget=st.floats(300, 4000), median=st.floats(1, 150))
@example(quota=148, budget=711.0, median=31.5)  # standby that served nobody, within the gap of branch and bound
def test_no_plan_exceeds_quota_or_budget(quota: int, budget: float, median: float) -> None:
    settings = _settings(quota=quota, budget=budget)
    plan = planned_rows(settings, forecasts(settings, median=median), issue_time=ISSUE)
    assert _vcpus(plan).max() <= quota
    assert not np.signbit(plan[["hot", "warm", "cold", "unmet", "leased", "leased_usd"]]).any(axis=None), "no negative zero"
    assert not plan["why"].str.startswith(";").any()
    served = plan["hot"] + plan["warm"] + plan["cold"]
    assert (served + plan["unmet"] >= plan["needed"] - 1e-6).all()
    assert ((plan["unmet"] == 0) | (served + plan["unmet"] <= plan["needed"] + 1e-6)).all()
    assert plan.groupby((plan["ds"] - ISSUE) // pd.Timedelta("24h"))["cost_usd"].sum().max() <= budget + 1e-6


def test_fair_shares_instead_of_the_highest_bid() -> None:
    by_bids, fair = (
        planned_rows(_policy(f"{{name: optimal, fairness: {rule}}}", quota=250), _same(), issue_time=ISSUE) for rule in ("bids", "dominant")
    )
    assert _rows(by_bids, "tenants")["hot"].mean() < 5, "the floor of two, and what is left over"
    assert _rows(fair, "tenants")["hot"].mean() > 12
    assert _vcpus(fair).max() <= 250


@pytest.mark.parametrize("rule", ["dominant", "proportional"])
def test_a_weight_and_a_boost_enlarge_a_fair_share(rule: str) -> None:
    plain = _policy(f"{{name: optimal, fairness: {rule}}}", quota=250)
    heavy = plain.model_copy(
        update={"services": plain.services | {"tenants": plain.services["tenants"].model_copy(update={"weight": 3.0})}}
    )
    frame = forecasts(plain, median=100.0, hours=12)
    boost = Boost("tenants", ISSUE, ISSUE + pd.Timedelta("4h"), "errors above the SLO")
    usual, weighed, boosted = (
        (rows := _rows(plan, "tenants"))["hot"].to_numpy() + rows["warm"].to_numpy()
        for plan in (
            planned_rows(plain, frame, issue_time=ISSUE),
            planned_rows(heavy, frame, issue_time=ISSUE),
            planned_rows(plain, frame, issue_time=ISSUE, boosts=[boost]),
        )
    )
    assert (weighed > usual).all()
    assert (boosted[:4] > usual[:4]).all()
    assert (boosted[4:] == usual[4:]).all()


@pytest.mark.parametrize(("blocks", "spell"), [("hourly", 3), ("mixed", 6)])
def test_machines_start_and_stop_no_more_often_than_allowed_and_run_as_long_as_asked(blocks: str, spell: int) -> None:
    wave = [8.0 if hour % (2 * spell) < spell else 80.0 for hour in range(72)]
    frame = set_demand(_same(), "us-central1/tenants/cpu", wave)
    frame = set_demand(frame, "us-central1/tenants/memory", [10.0] * 72)
    free, calm, long = (
        _rows(planned_rows(_policy(f"{{name: optimal, hour_blocks: {blocks}, {more}}}"), frame, issue_time=ISSUE), "tenants").set_index(
            "ds"
        )["hot"]
        for more in ("least_run_hours: 0", "flaps_per_day: 20", f"least_run_hours: {2 * spell}")
    )
    per_day = [hot.diff().abs().resample("D").sum().max() for hot in (free, calm)]
    assert per_day[0] > 20 >= per_day[1]
    just_started = [hot.diff().clip(lower=0).rolling(2 * spell, min_periods=1).sum() for hot in (free, long)]
    assert (free < just_started[0]).any(), "machines that were started stop again"
    assert (long.iloc[1:] >= just_started[1].iloc[1:]).all()


def test_mixed_blocks_plan_the_first_day_by_the_hour_and_then_six_hours_for_their_highest_demand() -> None:
    settings = _policy("{name: optimal}")
    frame = forecasts(settings)
    for series in ("us-central1/tenants/cpu", "us-central1/tenants/memory"):
        frame = set_demand(frame, series, [4.0 + hour % 5 for hour in range(72)])
    frame = set_demand(frame, "us-central1/edge/cpu", [8.0] * 72)
    hourly, mixed = (
        planned_rows(_policy(f"{{name: optimal, hour_blocks: {name}}}"), frame, issue_time=ISSUE) for name in ("hourly", "mixed")
    )
    first = hourly["ds"] < ISSUE + pd.Timedelta("24h")
    pd.testing.assert_frame_equal(hourly[first][["hot", "warm"]], mixed[first][["hot", "warm"]])
    most = hourly.groupby([*LINE, (hourly["ds"] - ISSUE) // pd.Timedelta("6h")])["hot"].transform("max")
    late = ~first & (hourly["resource"] == "instances")
    pd.testing.assert_series_equal(mixed.loc[late, "hot"], most[late])
    last = [_rows(plan, "edge")["why"].iloc[-1].partition(", one more")[0] for plan in (hourly, mixed)]
    assert last[0] == last[1], "what a step costs is per hour"


def test_a_bid_says_how_much_of_the_demand_is_worth_serving() -> None:
    """The first 40 vCPU are worth a lot, what is above them next to nothing: tenants hold ten machines of four vCPU."""
    bid = "    bid: [{up_to: 40, usd_per_unit_hour: 9}, {usd_per_unit_hour: 0.001}]\n"
    settings = _settings(services=bid)
    hot = _rows(planned_rows(settings, forecasts(settings, median=100.0), issue_time=ISSUE), "tenants")["hot"]
    assert set(hot) == {10}
    assert _rows(_plan(_settings()), "tenants")["hot"].min() > 10


@pytest.mark.parametrize(
    ("bid", "message"),
    [
        ("[{up_to: 40, usd_per_unit_hour: 1}, {usd_per_unit_hour: 2}]", "must not rise: what is served first is worth most"),
        ("[{up_to: 40, usd_per_unit_hour: 2}, {up_to: 30, usd_per_unit_hour: 1}, {usd_per_unit_hour: 1}]", "up_to 40, 30 must rise"),
        ("[{up_to: 40, usd_per_unit_hour: 2}]", "the last one none"),
        ("[{usd_per_unit_hour: -1}]", "greater than or equal to 0"),
    ],
)
def test_a_bid_that_is_not_concave_is_refused(bid: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        _settings(services=f"    bid: {bid}\n")


def _policy(policy: str, quota: int = 1000) -> Settings:
    return parse_settings(SETTINGS.replace("N2_CPUS: 1000", f"N2_CPUS: {quota}").replace("{BUDGET}", policy))


def _same() -> pd.DataFrame:
    return forecasts(_settings(), median=100.0)
