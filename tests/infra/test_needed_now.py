"""The larger of planned and needed now, never more than the plan holds hot and warm."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from plan_rows import ISSUE, REGION, plan_of, settings_text

from headroom.settings import Settings, parse_settings
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from infra.corrections import Correction
from infra.needed_now import decide_corrections
from infra.targets import MachineTarget, desired_state

NOW = ISSUE + pd.Timedelta("35min")
# One n2-standard-8 serves 8 vCPU at a utilisation of 0.6, one n2-standard-4 half of it.
EDGE, BATCH = 4.8, 2.4


def chosen(**policy: Any) -> Settings:
    text = yaml.safe_load(settings_text())
    text["policy"] |= {"correction": {"minutes": 15, "quantile": 0.9}, **policy}
    return parse_settings(yaml.safe_dump(text))


def forecast(demand: Mapping[str, float | tuple[float, ...]]) -> pd.DataFrame:
    """Service -> vCPU of the next steps at every quantile."""
    rows = []
    for service, amounts in demand.items():
        for step, amount in enumerate(amounts if isinstance(amounts, tuple) else (amounts,) * 3):
            line = {"region": REGION, "service": service, "resource": "cpu", "ds": NOW + step * pd.Timedelta("5min")}
            rows.append({**line, "unique_id": f"{REGION}/{service}/cpu", "measured": 0.0, **dict.fromkeys(QUANTILE_COLUMNS, amount)})
    return pd.DataFrame(rows)


def decide(
    demand: Mapping[str, Any],
    wants: Mapping[str, tuple[float, float]],
    *,
    settings: Settings | None = None,
    policy: str = "tiered",
    earlier: tuple[Correction, ...] = (),
) -> dict[str, Correction]:
    settings = settings or chosen()
    plan = plan_of({service: {"instances": amounts} for service, amounts in wants.items()}).assign(policy=policy)
    targets = {REGION: desired_state(settings, plan, issue_time=ISSUE, region=REGION)}
    found = decide_corrections(settings, plan, targets, forecast(demand), issue_time=NOW, earlier=earlier)
    return {row.service: row for row in found}


@pytest.mark.parametrize(
    ("needed", "hot", "unmet"),
    [(0, 10, 0), (9, 10, 0), (10, 10, 0), (11, 11, 0), (14, 14, 0), (17, 14, 3)],
)
def test_what_runs_is_the_larger_of_planned_and_needed_and_never_more_than_hot_and_warm(needed: int, hot: int, unmet: int) -> None:
    row = decide({"edge": needed * EDGE}, {"edge": (10, 4)})["edge"]
    assert (row.needed, row.hot, row.warm, row.resumed, row.unmet) == (needed, hot, 14 - hot, hot - 10, unmet)
    assert f"need {needed} (" in row.why
    assert "holds 10 hot and 4 warm" in row.why
    assert ("3 more are neither hot nor warm, and a correction buys none" in row.why) is (unmet > 0)
    assert (row.issue_time, row.plan_time, row.until) == (NOW, ISSUE, NOW + pd.Timedelta("15min"))


def test_the_highest_of_the_next_steps_counts_at_the_chosen_quantile() -> None:
    rows = forecast({"edge": (10 * EDGE, 12 * EDGE, 11 * EDGE)})
    median = rows["0.5"].copy()
    for column, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
        rows[column] = median * (1 + level)
    plan = plan_of({"edge": {"instances": (5, 40)}})
    for quantile in (0.5, 0.9):
        settings = chosen(correction={"quantile": quantile})
        targets = {REGION: desired_state(settings, plan, issue_time=ISSUE, region=REGION)}
        (row,) = decide_corrections(settings, plan, targets, rows, issue_time=NOW)
        assert row.needed == math.ceil(12 * (1 + quantile))


def test_what_was_measured_last_is_needed_now_whatever_the_forecast_says() -> None:
    plan = plan_of({"edge": {"instances": (5, 40)}})
    targets = {REGION: desired_state(chosen(), plan, issue_time=ISSUE, region=REGION)}
    rows = forecast({"edge": 3 * EDGE}).assign(measured=9 * EDGE)
    (row,) = decide_corrections(chosen(), plan, targets, rows, issue_time=NOW)
    assert (row.needed, row.hot) == (9, 9)


def test_a_service_without_a_forecast_is_left_alone() -> None:
    assert set(decide({"batch": BATCH}, {"edge": (1, 1), "batch": (1, 1)})) == {"batch"}


def test_the_days_budget_holds_and_the_most_critical_service_comes_first() -> None:
    """What the plan leaves pays two machines of edge for a day and none of batch."""
    wants = {"edge": (2.0, 3.0), "batch": (2.0, 3.0)}
    demand = {"edge": 5 * EDGE, "batch": 5 * BATCH}
    free = decide(demand, wants)
    assert (free["edge"].resumed, free["batch"].resumed) == (3, 3)
    plan = plan_of({service: {"instances": amounts} for service, amounts in wants.items()})
    edge, batch = sorted(
        (target for target in desired_state(chosen(), plan, issue_time=ISSUE, region=REGION) if isinstance(target, MachineTarget)),
        key=lambda target: target.service == "batch",
    )
    held = 24 * sum(target.hot * target.hot_usd + target.standby * target.warm_usd for target in (edge, batch))
    tight = decide(demand, wants, settings=chosen(budget_usd_per_day=held + 2.5 * 24 * (edge.hot_usd - edge.warm_usd)))
    assert (tight["edge"].resumed, tight["edge"].unmet) == (2, 1)
    assert "policy.budget_usd_per_day has room for 2 of the 3 that stand by for it" in tight["edge"].why
    assert tight["batch"].resumed == 0


def test_what_is_held_between_two_allocations_leaves_less_of_the_budget_than_the_plans_hours() -> None:
    """One hour needs four times the machines; held for the twelve hours until the next allocation, they leave two of the five that the hours leave."""
    plan = plan_of({"edge": {"instances": (2, 2)}}, later={8: 4.0})
    day = plan[plan["ds"] < ISSUE + pd.Timedelta("24h")]
    (target,) = desired_state(chosen(hold_hours=12), plan, issue_time=ISSUE, region=REGION)
    assert isinstance(target, MachineTarget)
    of_the_hours = float((day["hot"] * target.hot_usd + day["warm"] * target.warm_usd).sum())
    tight = chosen(hold_hours=12, budget_usd_per_day=of_the_hours + 5 * 24 * target.hot_usd)
    (row,) = decide_corrections(tight, plan, {REGION: [target]}, forecast({"edge": 40 * EDGE}), issue_time=NOW)
    assert (target.hot, target.standby, row.resumed) == (8, 8, 2)
    assert "policy.budget_usd_per_day has room for 2 of the 8" in row.why


@pytest.mark.parametrize(("policy", "kept"), [("tiered", 10), ("optimal", 13), ("reactive", 13)])
def test_only_a_policy_that_scales_in_slowly_keeps_what_ran(policy: str, kept: int) -> None:
    ran = decide({"edge": 13 * EDGE}, {"edge": (10, 4)})["edge"]
    moment = NOW - pd.Timedelta("50min")
    earlier = (Correction(**{**vars(ran), "issue_time": moment}),)
    settings = chosen(least_run_hours=1, stabilisation_hours=1)
    row = decide({"edge": EDGE}, {"edge": (10, 4)}, settings=settings, policy=policy, earlier=earlier)["edge"]
    assert row.hot == kept
    assert (f"13 ran before and are kept by policy {policy}" in row.why) is (kept == 13)
    long_ago = (Correction(**{**vars(ran), "issue_time": NOW - pd.Timedelta("61min")}),)
    assert decide({"edge": EDGE}, {"edge": (10, 4)}, settings=settings, policy=policy, earlier=long_ago)["edge"].hot == 10


@examples(max_examples=25)
@given(st.integers(0, 30), st.integers(0, 30), st.floats(0, 400, allow_nan=False))
def test_nothing_is_made_and_nothing_planned_hot_is_given_up(hot: int, warm: int, demand: float) -> None:
    row = decide({"edge": demand}, {"edge": (float(hot), float(warm))})["edge"]
    assert row.hot + row.warm == hot + warm
    assert hot <= row.hot <= hot + warm
    assert row.hot * EDGE >= demand - 1e-6 or row.warm == 0
    assert row.resumed == 0 or (row.hot - 1) * EDGE < demand


def test_of_several_machine_types_all_that_is_hot_counts_before_any_standby_resumes() -> None:
    text = yaml.safe_load(settings_text())
    text["policy"]["correction"] = {"minutes": 15}
    text["services"]["edge"]["capacity"]["also"] = ["n2-standard-4"]
    settings = parse_settings(yaml.safe_dump(text))
    first = plan_of({"edge": {"instances": (2, 2)}})
    plan = pd.concat([first, plan_of({"edge": {"instances": (4, 3)}}).assign(machine_type="n2-standard-4")], ignore_index=True)
    targets = {REGION: desired_state(settings, plan, issue_time=ISSUE, region=REGION)}

    def run(machines: float) -> tuple[list[int], int]:
        rows = decide_corrections(settings, plan, targets, forecast({"edge": machines * EDGE}), issue_time=NOW)
        assert [row.machine_type for row in rows] == ["n2-standard-8", "n2-standard-4"]
        return [row.hot for row in rows], sum(row.unmet for row in rows)

    assert run(4.0) == ([2, 4], 0)  # two large ones and four of half their size
    assert run(5.5) == ([4, 4], 0)
    assert run(7.0) == ([4, 6], 0)
    assert run(8.0) == ([4, 7], 1)


def test_a_type_that_has_nothing_left_to_serve_is_told_in_the_unit_of_what_was_asked_for() -> None:
    text = yaml.safe_load(settings_text())
    text["policy"]["correction"] = {"minutes": 15}
    text["services"]["edge"]["demand"] = {"requests": "requests_per_s"}
    text["services"]["edge"]["capacity"] |= {"requests_per_vcpu": 20, "also": ["n2-standard-4"]}
    text["metrics"][0]["metrics"]["requests_per_s"] = {"unit": "1/s"}
    settings = parse_settings(yaml.safe_dump(text))
    plan = plan_of({"edge": {"instances": (3, 2)}})
    plan = pd.concat([plan, plan.assign(machine_type="n2-standard-4")], ignore_index=True)
    targets = {REGION: desired_state(settings, plan, issue_time=ISSUE, region=REGION)}
    asked = forecast({"edge": 2 * EDGE * 20}).assign(resource="requests")
    rows = decide_corrections(settings, plan, targets, asked, issue_time=NOW)
    assert [row.needed for row in rows] == [1, 0]
    assert all("(192 1/s, " in row.why for row in rows)
