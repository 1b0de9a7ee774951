"""From the lake to a plan: what an allocation needs, and what it says when that is missing."""

from pathlib import Path

import pytest

from headroom.allocation import make_plan
from headroom.errors import BadInputError
from infra.ledger import Ledger
from infra.ledger_rows import Holding
from tests.infra.forecast_rows import ISSUE, SETTINGS
from tests.infra.installation import HOUR, installation


def test_without_a_forecast_of_the_day_the_newest_one_is_named(tmp_path: Path) -> None:
    opened = installation(tmp_path, SETTINGS.replace("{BUDGET}", "{}"))
    with pytest.raises(BadInputError, match=rf"or plan for {ISSUE:%Y-%m-%dT%H}:00:00\+00:00, the newest there is, with --as-of"):
        make_plan(opened, issue_time=ISSUE + 26 * HOUR)
    with pytest.raises(BadInputError, match=r"run headroom score --as-of .* first$"):
        make_plan(opened, issue_time=ISSUE - HOUR)


def test_a_plan_knows_which_machines_the_ledger_says_have_just_been_started(tmp_path: Path) -> None:
    opened = installation(tmp_path, SETTINGS.replace("{BUDGET}", "{name: optimal, least_run_hours: 4}"))
    ledger = Ledger.open(opened.home.database_url)
    two, thirty, resumed = (
        Holding(zone, "tenants", "instances", "hot", "r", machines, "instances", 0.1, "n2-standard-4")
        for zone, machines in (("us-central1-a", 2), ("us-central1-a", 30), ("", 5))
    )
    ledger.record_result("us-central1", ISSUE - 3 * HOUR, [two], [])
    ledger.record_result("us-central1", ISSUE - HOUR, [thirty, resumed], [])  # five came out of standby for a correction
    ledger.engine.dispose()
    make_plan(opened, issue_time=ISSUE)
    plan = opened.lake.read("plans", start=ISSUE, end=ISSUE + HOUR, where={"region": "us-central1"})
    hot = plan[(plan["service"] == "tenants") & (plan["resource"] == "instances")].sort_values("ds")["hot"].tolist()
    assert hot[:3] == [28, 28, 28], "those of an hour ago run on"
    assert hot[3] < 28
