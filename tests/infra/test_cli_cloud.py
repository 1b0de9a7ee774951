"""The commands for what is in the cloud beside the plan, against a local cloud and a whole installation's folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud_world import World, world
from plan_rows import ISSUE, PROJECT, REGION, ZONES, plan_of, settings_text
from typer.testing import CliRunner

from headroom.allocation import reconcile_region
from headroom.cli import app
from headroom.errors import BadInputError
from headroom.lake import Lake
from headroom.runtime import Runtime
from infra.ledger import Ledger

EDGE = "headroom-edge-n2-standard-8"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    capacity = tmp_path / "capacity.yaml"
    capacity.write_text(settings_text().replace("headroom-test", PROJECT))
    with world(tmp_path) as opened:
        monkeypatch.setenv("HEADROOM_HOME", str(tmp_path / "var"))
        monkeypatch.setenv("HEADROOM_CAPACITY", str(capacity))
        monkeypatch.setenv("HEADROOM_CLOUD_ENDPOINT", opened.address)
        monkeypatch.setenv("HEADROOM_DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
        monkeypatch.delenv("HEADROOM_LAKE", raising=False)
        plan = plan_of({"edge": {"instances": 4}})
        Lake(str(tmp_path / "var" / "lake")).replace("plans", plan, start=ISSUE, end=ISSUE.replace(hour=1), where={"region": [REGION]})
        reconcile_region(Runtime.open(), issue_time=ISSUE, region=REGION, dry_run=False)
        opened.admin("clock", advance_seconds=60)
        yield opened


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def count(here: World) -> int:
    found = here.cloud.reservation(ZONES[0], EDGE)
    return found.count if found else 0


def test_drift_is_shown_then_mended(here: World) -> None:
    assert run("drift") == "nothing has drifted"
    here.call("POST", f"zones/{ZONES[0]}/reservations/{EDGE}/resize", {"specificSkuCount": "7"})
    here.admin("clock", advance_seconds=60)
    assert "count is 7, count 4 was asked for" in run("drift", "--region", REGION)
    assert count(here) == 7
    assert "done: europe-west9-a: release 3 of 7" in run("drift", "--mend")
    assert count(here) == 4
    assert run("drift") == "nothing has drifted"


def test_a_region_with_calls_under_way_says_so(here: World) -> None:
    ledger = Ledger.open(Runtime.open().home.database_url)
    (done, *_) = ledger.recent(REGION, limit=1)
    ledger.plan(PROJECT, ISSUE, done.action)
    ledger.engine.dispose()
    assert f"{REGION}: 1 calls are under way, so nothing can be said" in run("drift")


def test_drift_is_kept_by_choice(here: World) -> None:
    here.call("POST", f"zones/{ZONES[0]}/reservations/{EDGE}/resize", {"specificSkuCount": "7"})
    here.admin("clock", advance_seconds=60)
    with pytest.raises(BadInputError, match="without a reason"):
        run("drift", "--adopt", "edge")
    assert f"{REGION}: hot 7 is kept until" in run("drift", "--adopt", "edge", "--hours", "3", "--why", "load test")
    reconcile_region(Runtime.open(), issue_time=ISSUE, region=REGION, dry_run=False)
    assert count(here) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--mend", "--adopt", "edge"), "give one of them"), (("--region", "mars"), "--region mars: not in the settings")],
)
def test_orders_that_make_no_sense_are_refused(here: World, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        run("drift", *arguments)


def test_orphans_are_shown_then_collected(here: World) -> None:
    assert run("orphans") == "no orphans"
    body = {"name": "old", "description": "headroom-managed: hot capacity for gone; issued x"}
    specific = {"count": 2, "instanceProperties": {"machineType": "n2-standard-8"}}
    here.call("POST", f"zones/{ZONES[0]}/reservations", {**body, "specificReservation": specific})
    here.admin("clock", advance_seconds=60)
    shown = run("orphans")
    assert "reservation old (2 x n2-standard-8)" in shown
    assert "may be another's; add --unnamed" in shown
    run("orphans", "--collect")
    assert here.cloud.reservation(ZONES[0], "old") is not None
    assert "1 may be collected: headroom orphans --collect --unnamed" in run("orphans", "--unnamed")
    assert here.cloud.reservation(ZONES[0], "old") is not None
    assert f"done: {ZONES[0]}: collect the orphan reservation old" in run("orphans", "--collect", "--unnamed")
    here.admin("clock", advance_seconds=60)
    assert here.cloud.reservation(ZONES[0], "old") is None
    assert count(here) == 4


def test_the_bill_has_the_hour_that_was_applied(here: World) -> None:
    shown = run("bill", "--by", "hour", "--region", REGION)
    assert "2026-07-08 00:00" in shown
    assert "1 hours of 1 regions" in shown
    assert "1.00" in shown  # what the plan said
    with pytest.raises(BadInputError, match="must be one of hour, day, region"):
        run("bill", "--by", "week")


def test_a_bill_of_hours_that_nobody_reconciled_is_refused(here: World) -> None:
    with pytest.raises(BadInputError, match="no reconciliation has said what was held between 2026-01-01"):
        CliRunner().invoke(app, ["bill", "--as-of", "2026-01-02T00:00Z"], catch_exceptions=False)


def test_a_boost_is_granted_and_listed(here: World) -> None:
    assert "boosted edge from" in run("boost", "edge", "--for", "90min", "--why", "errors above the SLO")
    told = run("boosts")
    assert "errors above the SLO" in told
    assert "22.5 hours may still be asked for" in told
    with pytest.raises(BadInputError, match="not a length of time; for example 2h"):
        CliRunner().invoke(app, ["boost", "edge", "--for", "long", "--why", "x"], catch_exceptions=False)
