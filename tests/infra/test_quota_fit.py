"""Policies that decide hour by hour keep to the quotas: the least critical gives first, the line says so, and nobody goes over."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headroom.errors import BadInputError
from headroom.settings import Settings, parse_settings
from infra.prices import list_prices
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts, set_demand
from tests.infra.planned_rows import planned_rows

BY_HOUR = ("tiered", "newsvendor", "reactive", "static")


def _settings(policy: str, quota: int, *, quotas: str = "", tenants: str = "") -> Settings:
    text = SETTINGS.replace("N2_CPUS: 1000", quotas or f"N2_CPUS: {quota}").replace("{BUDGET}", f"{{name: {policy}}}")
    return parse_settings(text.replace("    criticality: low\n", f"    criticality: low\n{tenants}"))


def _machines(plan: pd.DataFrame, service: str) -> pd.DataFrame:
    return plan[(plan["resource"] == "instances") & (plan["service"] == service) & (plan["region"] == "us-central1")]


def _most_vcpus(plan: pd.DataFrame) -> float:
    machines = plan[plan["resource"] == "instances"]
    vcpus = machines["machine_type"].map({name: list_prices().machine_type(name).vcpu for name in machines["machine_type"].unique()})
    return float(
        ((machines["hot"] + machines["warm"] + machines["cold"]) * vcpus).groupby([machines["region"], machines["ds"]]).sum().max()
    )


@pytest.mark.parametrize("policy", BY_HOUR)
def test_the_least_critical_gives_first_and_says_which_quota(policy: str) -> None:
    """Edge needs 35 machines of 8 vCPU: with 284 vCPU the others keep what their minimum is."""
    settings = _settings(policy, 292)
    plan = planned_rows(settings, forecasts(settings, median=100.0), issue_time=ISSUE)
    wide = planned_rows(_settings(policy, 1000), forecasts(settings, median=100.0), issue_time=ISSUE)
    edge, tenants = _machines(plan, "edge"), _machines(plan, "tenants")
    pools = ["hot", "warm", "cold"]
    assert set(tenants["hot"]) == {2}
    assert not tenants[["warm", "cold"]].any(axis=None)
    assert (tenants["unmet"] == tenants["needed"] - 2).all()
    short = int(tenants["unmet"].iloc[0])
    assert tenants["why"].str.endswith(f"; {short} n2-standard-4 left unserved at the planned quantile: N2_CPUS of us-central1 binds").all()
    if policy != "newsvendor":  # which wants 38
        pd.testing.assert_frame_equal(edge[[*pools, "why"]], _machines(wide, "edge")[[*pools, "why"]])


@hypothesis_settings(max_examples=25)
@given(
    policy=st.sampled_from(BY_HOUR),
    tenants=st.sampled_from(["", "    policy: static\n", "    policy: newsvendor\n"]),
    quota=st.integers(16, 600),
    median=st.floats(1, 300),
    confidence=st.sampled_from([0.3, 0.7, 0.95]),
    peak=st.integers(0, 11),
)
def test_no_plan_of_any_policy_exceeds_a_quota(policy: str, tenants: str, quota: int, median: float, confidence: float, peak: int) -> None:
    settings = _settings(policy, quota, tenants=tenants)
    frame = forecasts(settings, hours=12, median=median, confidence=confidence)
    frame = set_demand(frame, "us-central1/edge/cpu", [2 * median if hour == peak else median for hour in range(12)])
    plan = planned_rows(settings, frame, issue_time=ISSUE)
    served = plan["hot"] + plan["warm"] + plan["cold"]
    assert _most_vcpus(plan) <= quota
    assert (served + plan["unmet"] >= plan["needed"] - 1e-6).all()
    assert ((plan["unmet"] == 0) | (served + plan["unmet"] <= plan["needed"] + 1e-6)).all()
    assert plan.loc[plan["unmet"] > 0, "why"].str.contains("left unserved .*: N2_CPUS of .* binds").all()


@pytest.mark.parametrize(
    ("edge", "tenants", "hot"),
    [
        ("high", "low", 2),  # its minimum: edge alone needs 280 vCPU
        ("medium", "medium", 23),  # 100 vCPU less the one machine of 8 that edge must have
        ("low", "high", 23),
    ],
)
def test_the_less_critical_gives_of_the_program_and_of_the_others(edge: str, tenants: str, hot: int) -> None:
    """Edge is planned by the program, tenants hour by hour; both want more than the 100 vCPU there are."""
    settings = _settings("optimal", 100, tenants="    policy: static\n")
    services = {
        name: settings.services[name].model_copy(update={"criticality": level}) for name, level in (("edge", edge), ("tenants", tenants))
    }
    settings = settings.model_copy(update={"services": {**settings.services, **services}})
    plan = planned_rows(settings, forecasts(settings, median=100.0, hours=6), issue_time=ISSUE)
    assert _most_vcpus(plan) <= 100
    assert set(_machines(plan, "tenants")["hot"]) == {hot}
    assert (_machines(plan, "edge")["hot"] >= 1).all()


def test_what_the_program_does_not_need_is_there_for_less_critical_services() -> None:
    """Edge needs 3 machines of 8 vCPU and scores one of 4: of 100 vCPU 72 are left."""
    settings = _settings("optimal", 100, tenants="    policy: static\n")
    frame = forecasts(settings, median=100.0, hours=6)
    for series in ("edge/cpu", "scores/requests"):
        frame = set_demand(frame, f"us-central1/{series}", [10.0] * 6)
    plan = planned_rows(settings, frame, issue_time=ISSUE)
    assert set(_machines(plan, "tenants")["hot"]) == {18}
    assert _most_vcpus(plan) <= 100


def test_families_without_a_quota_of_their_own_share_one() -> None:
    settings = _settings("tiered", 0, quotas="CPUS: 292")
    plan = planned_rows(settings, forecasts(settings, median=100.0), issue_time=ISSUE)
    assert _most_vcpus(plan) <= 292
    assert _machines(plan, "tenants")["why"].str.contains("CPUS of us-central1 binds").all()


def test_what_leads_on_the_next_hours_gives_too_and_says_so() -> None:
    """A peak of 20 machines is asked for two hours ahead; in the hours before it nothing is unserved."""
    settings = _settings("tiered", 96)
    frame = set_demand(forecasts(settings, median=4.0), "asia-east1/edge/cpu", [8.0] * 40 + [80.0] + [8.0] * 31)
    plan = planned_rows(settings, frame, issue_time=ISSUE)
    edge = plan[(plan["service"] == "edge") & (plan["region"] == "asia-east1") & (plan["resource"] == "instances")].sort_values("ds")
    assert edge["hot"].tolist()[38:41] == [12, 12, 12]
    assert edge["unmet"].tolist()[38:41] == [0, 0, 8]
    assert edge["why"].iloc[38].endswith("; 8 n2-standard-8 fewer, for the next hours: N2_CPUS of asia-east1 binds")


def test_a_quota_below_the_minimum_is_refused_with_both_figures() -> None:
    settings = _settings("tiered", 12)
    with pytest.raises(BadInputError, match=r"minimum_instances .* us-central1 take 16 vCPU, above regions.us-central1.quotas N2_CPUS 12"):
        planned_rows(settings, forecasts(settings, median=100.0), issue_time=ISSUE)
