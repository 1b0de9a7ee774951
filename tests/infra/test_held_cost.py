"""The budget binds what is held: a plan that is held for its hours until the next allocation costs no more than a day may."""

from __future__ import annotations

from contextlib import suppress

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headroom.errors import BadInputError
from headroom.settings import Settings, parse_settings
from infra.held_cost import held_usd_by_hour
from infra.targets import BandwidthTarget, MachineTarget, desired_state
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts, set_demand, settings
from tests.infra.planned_rows import planned_rows

HOUR = pd.Timedelta("1h")
# One hour of eight times the load on each day.
PEAKS = ([8.0] * 12 + [64.0] + [8.0] * 11) * 3


def peaky(chosen: Settings, *, scale: float = 1.0, shift: int = 0) -> pd.DataFrame:
    frame = forecasts(chosen, median=4.0)
    for series in ("us-central1/edge/cpu", "asia-east1/edge/cpu", "us-central1/tenants/cpu", "us-central1/edge/bandwidth"):
        frame = set_demand(frame, series, [load * scale for load in PEAKS[shift:] + PEAKS[:shift]])
    return frame


def days_as_held(chosen: Settings, plan: pd.DataFrame) -> list[float]:
    """USD of each day, by what the reconciler would be asked to hold at every allocation of this plan."""
    usd = pd.Series(0.0, index=range(72))
    for begin in range(0, 72, chosen.policy.hold_hours):
        issued = ISSUE + begin * HOUR
        for region in chosen.regions:
            hours = min(chosen.policy.hold_hours, 72 - begin)
            targets = desired_state(chosen, plan.assign(issue_time=issued), issue_time=issued, region=region)
            usd.loc[begin : begin + hours - 1] += sum(usd_per_hour(chosen, region, target) for target in targets)
    return usd.groupby(usd.index // 24).sum().tolist()


def usd_per_hour(chosen: Settings, region: str, target: object) -> float:
    if isinstance(target, MachineTarget):
        return target.hot * target.hot_usd + target.standby * target.warm_usd
    if isinstance(target, BandwidthTarget):
        return target.gbps * target.usd_per_gbps if chosen.regions[region].interconnect else 0.0
    return target.gib * target.usd_per_gib


def plan_of(chosen: Settings, frame: pd.DataFrame) -> pd.DataFrame:
    return planned_rows(chosen, frame, issue_time=ISSUE)


@pytest.mark.parametrize(
    ("policy", "hold"),
    [("tiered", 2), ("optimal", 2), ("tiered", 12), ("newsvendor", 24), ("static", 12), ("optimal", 12), ("optimal", 72)],
)
def test_a_day_costs_no_more_than_the_budget_as_it_is_held(policy: str, hold: int) -> None:
    free = settings(f"{{name: {policy}, hold_hours: {hold}, budget_usd_per_day: 1000000}}")
    frame = peaky(free)
    dearest = max(days_as_held(free, plan_of(free, frame)))
    budget = round(dearest * 0.8)
    tight = settings(f"{{name: {policy}, hold_hours: {hold}, budget_usd_per_day: {budget}}}")
    days = days_as_held(tight, plan_of(tight, frame))
    assert max(days) <= budget + 0.02
    assert max(days) > budget * 0.6, "most of the budget is used"


@pytest.mark.parametrize("policy", ["tiered", "optimal"])
def test_a_lead_longer_than_the_plan_holds_its_most_from_the_start(policy: str) -> None:
    """The last good forecast of a day ago, and machines that take a day to boot."""
    text = SETTINGS.replace("boot_minutes: 90, resume_minutes: 40", "boot_minutes: 1440, resume_minutes: 1440")
    slow = parse_settings(text.replace("{BUDGET}", f"{{name: {policy}}}"))
    frame = forecasts(slow, median=4.0, hours=12)
    plan = plan_of(slow, set_demand(frame, "us-central1/edge/cpu", [8.0] * 11 + [64.0]))
    edge = plan[(plan["service"] == "edge") & (plan["region"] == "us-central1") & (plan["resource"] == "instances")]
    assert set(edge["hot"]) == {16}


def test_what_leased_machines_send_is_paid_beside_what_is_held() -> None:
    """In the peak asia-east1 leases four machines or so of us-central1, which send 0.1 Gbit/s for each that is needed."""
    lending = (
        SETTINGS.replace("{attachment: headroom-us}}", "{attachment: headroom-us}, lends_vcpus: 400}")
        .replace("quotas: {N2_CPUS: 1000}}\nservices", "quotas: {N2_CPUS: 96}, peers: [us-central1]}\nservices")
        .replace("{BUDGET}", "{name: optimal, hold_hours: 12, budget_usd_per_day: USD}")
    )
    free = parse_settings(lending.replace("USD", "1000000"))
    frame = set_demand(peaky(free), "asia-east1/edge/bandwidth", [load / 40 for load in PEAKS])
    budget = round(max(days_as_held(free, plan_of(free, frame))) * 0.9)
    tight = parse_settings(lending.replace("USD", str(budget)))
    plan = plan_of(tight, frame)
    egress = plan.groupby((plan["ds"] - ISSUE) // (24 * HOUR))["leased_usd"].sum()
    assert egress.max() > 0.01 * budget
    assert max(egress + days_as_held(tight, plan)) <= budget + 0.02


def test_what_is_held_is_what_the_reconciler_is_asked_for() -> None:
    chosen = settings("{name: tiered, hold_hours: 12}")
    plan = plan_of(chosen, peaky(chosen))
    assert plan.groupby((plan["ds"] - ISSUE) // (24 * HOUR))["cost_usd"].sum().max() < 0.5 * max(days_as_held(chosen, plan))


def test_where_holding_adds_nothing_a_plan_is_what_it_was() -> None:
    hourly, held = (
        settings("{name: optimal, budget_usd_per_day: 900}"),
        settings("{name: optimal, budget_usd_per_day: 900, hold_hours: 72}"),
    )
    flat = forecasts(hourly, median=40.0)
    pd.testing.assert_frame_equal(plan_of(hourly, flat), plan_of(held, flat))


@pytest.mark.slow
@hypothesis_settings(max_examples=12, deadline=None)
@given(
    hold=st.integers(1, 72),
    budget=st.floats(50, 3000),
    scale=st.floats(0.2, 3.0),
    shift=st.integers(0, 23),
    policy=st.sampled_from(["tiered", "newsvendor", "static"]),
)
def test_no_plan_is_held_for_more_than_the_budget(hold: int, budget: float, scale: float, shift: int, policy: str) -> None:
    chosen = settings(f"{{name: {policy}, hold_hours: {hold}, budget_usd_per_day: {budget}}}")
    frame = peaky(chosen, scale=scale, shift=shift)
    # Refused where even the least that must run is dearer; test_planner has the message.
    with suppress(BadInputError):
        assert max(days_as_held(chosen, plan_of(chosen, frame))) <= budget + 0.02


def test_an_empty_plan_costs_nothing() -> None:
    assert held_usd_by_hour(settings(), pd.DataFrame(), ISSUE).size == 0
