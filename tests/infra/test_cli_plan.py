"""The command `plan`, against a local cloud and a whole installation's folders: it tells the plan and why, and changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud_world import World, world
from forecast_rows import ISSUE, SETTINGS
from installation import installation
from plan_rows import PROJECT
from typer.testing import CliRunner

from headroom.cli import app
from headroom.runtime import Runtime
from infra.ledger import Ledger

SHORT = (
    SETTINGS.replace("{BUDGET}", "{name: optimal}").replace("project: test", f"project: {PROJECT}").replace("N2_CPUS: 1000", "N2_CPUS: 200")
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(tmp_path) as opened:
        monkeypatch.setenv("HEADROOM_HOME", str(tmp_path / "var"))
        monkeypatch.setenv("HEADROOM_CAPACITY", str(tmp_path / "capacity.yaml"))
        monkeypatch.setenv("HEADROOM_CLOUD_ENDPOINT", opened.address)
        monkeypatch.setenv("COLUMNS", "240")
        monkeypatch.delenv("HEADROOM_LAKE", raising=False)
        monkeypatch.delenv("HEADROOM_DATABASE_URL", raising=False)
        installation(tmp_path, SHORT)
        yield opened


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["plan", "--as-of", ISSUE.isoformat(), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_a_plan_is_told_with_its_reasons_limits_and_requests(here: World) -> None:
    told = run()
    rows = Runtime.open().lake.read("plans", start=ISSUE, end=ISSUE.replace(hour=1))
    assert set(rows["region"]) == {"us-central1", "asia-east1"}
    for service in ("edge", "tenants", "scores"):
        assert service in told
    assert f"{len(rows)} rows planned for {ISSUE.isoformat()}" in told
    assert rows["unmet"].max() > 0
    assert "limits that bind: " in told
    assert "one more N2 vCPU quota in us-central1 saves" in told
    assert "quotas to ask Google for; nothing asks by itself" in told


def test_nothing_is_changed_in_the_cloud_or_the_ledger(here: World) -> None:
    run()
    held = Ledger.open(Runtime.open().home.database_url).held()
    assert held.empty
    for zone in ("us-central1-a", "asia-east1-a"):
        assert here.call("GET", f"zones/{zone}/reservations").get("items", []) == []


def test_one_region_under_another_policy(here: World) -> None:
    told = run("--region", "asia-east1", "--policy", "tiered")
    assert "asia-east1" in told
    assert "us-central1" not in told


def test_what_the_cloud_would_be_asked_is_a_line_each(here: World) -> None:
    told = run("--region", "us-central1")
    assert "would be made: us-central1-a: reserve 24 n2-standard-8 for edge (now 0), +9.32 USD per hour" in told
    assert "ATTACHMENT_MISSING: headroom-us does not exist in us-central1; order the interconnect" in told
    assert "ReconcileReport" not in told


def test_after_apply_nothing_is_left_to_change(here: World) -> None:
    arguments = ["apply", "--as-of", ISSUE.isoformat(), "--region", "us-central1"]
    first = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert first.exit_code == 0, first.output
    assert "done: us-central1-a: reserve 24 n2-standard-8 for edge (now 0), +9.32 USD per hour" in " ".join(first.output.split())
    second = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "us-central1: nothing to change\n" in second.output
    assert "unmet: the region has 0 of 130 Gbit/s hot" in second.output


def test_what_was_learnt_is_told_in_words(here: World) -> None:
    done = CliRunner().invoke(app, ["learn", "--as-of", ISSUE.isoformat()], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "nothing to judge" in done.output
    assert "tuning: 0 choices rewarded" in done.output
    assert "Report(" not in done.output
