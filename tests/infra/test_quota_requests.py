"""The quota increases that a plan would ask for, and how a plan is shown: reasons per line, limits once, and what to ask Google for."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from headroom.allocation import MadePlan, make_plan
from headroom.plan_text import print_plan
from headroom.report import write_report
from headroom.runtime import Runtime
from headroom.summary import print_summary, summarise
from infra.planner import plan_capacity
from infra.quota_requests import quota_requests
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts
from tests.infra.installation import HOUR, installation
from tests.infra.test_leasing import _settings as leasing_settings

WORDS = "N2_CPUS of us-central1: 250 now, 436 needed; short in 72 hours from 2026-07-08 00:00"


def _opened(folder: Path, policy: str, quota: int = 250) -> Runtime:
    return installation(folder, SETTINGS.replace("N2_CPUS: 1000", f"N2_CPUS: {quota}").replace("{BUDGET}", f"{{name: {policy}}}"))


def _shown(opened: Runtime, made: MadePlan) -> str:
    console = Console(file=io.StringIO(), width=400)
    print_plan(made, opened.lake.read("plans", start=ISSUE, end=ISSUE + HOUR), console, project="acme")
    return console.file.getvalue()


def test_a_plan_says_which_quota_it_would_ask_for_how_much_and_what_that_saves(tmp_path: Path) -> None:
    opened = _opened(tmp_path, "optimal")
    made, again = (make_plan(opened, issue_time=ISSUE) for _ in range(2))
    rows = opened.lake.read("quota_requests", start=ISSUE, end=ISSUE + HOUR).set_index("region")
    assert rows.index.tolist() == ["asia-east1", "us-central1"], "once, however often it is planned"
    assert rows["needed_vcpus"].to_dict() == {"asia-east1": 280, "us-central1": 436}  # 35 x 8; and 35 x 8 + 35 x 4 + 4 x 4
    price = next(words for words in made.limits if "quota in us-central1" in words)
    assert f"saves {rows.loc['us-central1', 'usd_per_vcpu_day']:,.2f} USD/day" in price
    assert made.quota_requests == again.quota_requests
    facts = json.loads(json.dumps(made.facts()))
    assert any(request.startswith(f"{WORDS}; the first vCPU more saves ") for request in facts["quota_requests"])


def test_a_plan_is_shown_with_its_reasons_its_limits_once_and_the_step_to_ask(tmp_path: Path) -> None:
    opened = _opened(tmp_path, "optimal")
    made = make_plan(opened, issue_time=ISSUE)
    shown = _shown(opened, made)
    assert "33 n2-standard-4 left unserved at the planned quantile: N2_CPUS of us-central1 binds" in shown
    assert "q0.9 need 140 vCPU -> 35 x n2-standard-8" in shown
    assert made.limits
    assert all(shown.count(words) == 1 for words in made.limits)
    assert "--quota-id=N2-CPUS-per-project-region --dimensions=region=us-central1 --preferred-value=436" in shown
    assert "--project=acme " in shown


def test_policies_without_prices_ask_too_and_the_summary_and_the_report_say_so(tmp_path: Path) -> None:
    opened = _opened(tmp_path, "tiered")
    made = make_plan(opened, issue_time=ISSUE)
    assert WORDS in [str(request) for request in made.quota_requests]
    assert made.limits == []
    summary = summarise(opened.settings, opened.home, opened.lake)
    console = Console(file=io.StringIO(), width=200)
    print_summary(summary, console)
    assert f"quota     {WORDS}" in console.file.getvalue()
    tenants = next(service for service in summary.services if service.service == "tenants")
    assert [pool.unmet for pool in tenants.pools if pool.resource == "instances"] == [33]
    page = write_report(opened.settings, opened.home, opened.lake).read_text()
    assert "Quotas to ask for" in page
    assert "<td>N2_CPUS</td>" in page


@pytest.mark.parametrize("policy", ["optimal", "tiered"])
def test_nothing_is_asked_for_where_the_quotas_are_enough(tmp_path: Path, policy: str) -> None:
    opened = _opened(tmp_path, policy, quota=1000)
    assert make_plan(opened, issue_time=ISSUE).quota_requests == []
    assert "Quotas to ask for" not in write_report(opened.settings, opened.home, opened.lake).read_text()


@pytest.mark.parametrize(("lends", "asks"), [(32, ["asia-east1"]), (400, [])])
def test_a_region_that_borrows_asks_only_where_peers_do_not_lend_it_all_for_less(lends: int, asks: list[str]) -> None:
    """Asia's quota is 12 machines and it needs 21; those of us-central1 cost less."""
    settings = leasing_settings(lends=lends)
    made = plan_capacity(settings, forecasts(settings, median=60.0, hours=24), issue_time=ISSUE)
    asked = quota_requests(settings, made.rows, made.limits, issue_time=ISSUE)
    assert asked["region"].tolist() == asks
    assert (asked["needed_vcpus"] >= 21 * 8).all()
    assert (asked["usd_per_vcpu_day"] > 0).all()
    assert set(asked["ds"]) <= {pd.Timestamp(ISSUE)}
    lending = [limit for limit in made.limits if "vCPU lent by us-central1 saves" in limit.words]
    edge = made.rows[(made.rows["service"] == "edge") & (made.rows["region"] == "asia-east1")]
    assert len(lending) == len(asks)
    assert all(edge["why"].str.contains(limit.words, regex=False).any() for limit in lending), "the line that would borrow says so"
