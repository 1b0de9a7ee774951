"""Two installations in one project: neither reports, collects or touches what the other made."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from cloud_world import World, world
from plan_rows import ISSUE, PROJECT, REGION, ZONES, plan_of, settings, settings_text

from headroom.errors import BadInputError
from headroom.settings import parse_settings
from infra.cloud import Cloud
from infra.ledger import Ledger
from infra.orphans import collect, find_orphans

EDGE = plan_of({"edge": {"instances": (3, 1), "bandwidth": 7.0}, "batch": {"instances": 2, "storage": 50}})
NAMES = {"edge": "front", "batch": "crunch"}
FRONT = plan_of({"edge": {"instances": (2, 1)}, "batch": {"instances": 1, "storage": 20}}).assign(
    service=lambda p: p["service"].replace(NAMES)
)
GONE = parse_settings(settings_text().replace("edge:", "other:").replace("batch:", "another:"))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as opened:
        yield opened


@pytest.fixture
def others_settings() -> str:
    text = settings_text().replace(", interconnect: {attachment: link, minimum_gbps: 1}", "").replace(", bandwidth: egress_gbps", "")
    return text.replace("edge:", "front:").replace("batch:", "crunch:")


def install(project: World, name: str, folder: Path, text: str | None = None) -> World:
    """A further installation of the project: a ledger, settings and a name of its own."""
    ledger = Ledger.open(f"sqlite:///{folder}/{name or 'unnamed'}.db")
    cloud = Cloud(PROJECT, project.address, timeout=30, installation=name)
    return replace(project, ledger=ledger, cloud=cloud, settings=parse_settings(text) if text else settings())


def everything(project: World) -> list[dict]:
    """All that is in the project, whoever made it."""
    places = [f"regions/{REGION}/instanceGroupManagers", "global/instanceTemplates"]
    places += [f"zones/{zone}/{kind}" for zone in ZONES for kind in ("reservations", "disks")]
    return [item for place in places for item in project.get(place).get("items", [])]


@pytest.mark.parametrize(("first", "second"), [("east", "west"), ("", "west"), ("east", "")])
def test_neither_sees_or_touches_what_the_other_made(project: World, tmp_path: Path, others_settings: str, first: str, second: str) -> None:
    here, there = install(project, first, tmp_path), install(project, second, tmp_path, others_settings)
    here.reconcile(EDGE)
    before = {item["selfLink"]: item for item in everything(project)}
    there.reconcile(FRONT)
    after = {item["selfLink"]: item for item in everything(project)}
    assert {link: after[link] for link in before} == before
    for one in (here, there):
        assert find_orphans(one.settings, one.ledger, one.cloud) == []
    # Each with a ledger that was lost and services that it no longer has: what is left is its own.
    fresh = Ledger.open(f"sqlite:///{tmp_path}/fresh.db")
    for one, made, others in ((here, "edge|batch", "front|crunch"), (there, "front|crunch", "edge|batch")):
        found = find_orphans(GONE, fresh, one.cloud)
        names = pd.Series([orphan.owned.name for orphan in found])
        assert names.str.contains(made).all(), names
        assert not names.str.contains(others).any()
        assert {orphan.owned.kind for orphan in found} == {"template", "group", "reservation", "disk"}
        if one.cloud.installation:
            collect(GONE, fresh, one.cloud, found, now=ISSUE)
    here.reconcile(EDGE)
    assert there.reconcile(FRONT).held["front"] == {"hot": 2.0, "warm": 1.0}
    assert here.reconcile(EDGE).writes == 0
    assert there.reconcile(FRONT).writes == 0


@pytest.mark.parametrize(("first", "second"), [("east", "west"), ("", "west"), ("east", "")])
def test_a_service_that_both_want_in_a_region_is_refused_by_name_and_nothing_is_written(
    project: World, tmp_path: Path, first: str, second: str
) -> None:
    here, there = install(project, first, tmp_path), install(project, second, tmp_path)
    here.reconcile(EDGE)
    before, calls = everything(project), len(project.writes())
    owner = f"installation '{first}'" if first else "an installation without a name"
    for dry_run in (True, False):
        with pytest.raises(BadInputError, match=f"group headroom-edge of service edge belongs to {owner}.*give the service another name"):
            there.reconcile(EDGE, dry_run=dry_run)
    assert len(project.writes()) == calls
    assert everything(project) == before
    assert find_orphans(there.settings, there.ledger, there.cloud) == []


def test_a_disk_that_the_other_holds_is_refused_too(project: World, tmp_path: Path) -> None:
    here, there = install(project, "east", tmp_path), install(project, "west", tmp_path)
    storage = plan_of({"batch": {"storage": 50}})
    here.reconcile(storage)
    with pytest.raises(
        BadInputError, match="disk headroom-batch-data of service batch belongs to installation 'east', and this one is west"
    ):
        there.reconcile(storage)


def test_an_installation_that_gets_a_name_keeps_what_it_made_without_one(project: World, tmp_path: Path) -> None:
    install(project, "", tmp_path).reconcile(EDGE)
    named = replace(install(project, "", tmp_path), cloud=Cloud(PROJECT, project.address, timeout=30, installation="east"))
    assert named.reconcile(EDGE).writes == 0
    grown = plan_of({"edge": {"instances": (5, 1), "bandwidth": 7.0}, "batch": {"instances": 2, "storage": 60}})
    later = grown.assign(issue_time=ISSUE + pd.Timedelta("1h"))
    report = named.reconcile(later, issue_time=ISSUE + pd.Timedelta("1h"))
    assert report.held["edge"]["hot"] == 5
    assert find_orphans(named.settings, named.ledger, named.cloud) == []


def test_a_lost_ledger_of_a_named_installation_takes_over_what_bears_its_name(project: World, tmp_path: Path) -> None:
    here = install(project, "east", tmp_path)
    here.reconcile(EDGE)
    fresh = replace(here, ledger=Ledger.open(f"sqlite:///{tmp_path}/fresh.db"))
    found = find_orphans(fresh.settings, fresh.ledger, fresh.cloud)
    assert found
    assert all(orphan.kept for orphan in found)
    assert fresh.reconcile(EDGE).writes == 0


def test_what_bears_no_name_is_collected_only_when_a_person_says_whose_it_is(project: World, tmp_path: Path) -> None:
    install(project, "", tmp_path).reconcile(plan_of({"batch": {"instances": 0}, "edge": {"instances": (0, 0)}}))
    fresh = Ledger.open(f"sqlite:///{tmp_path}/fresh.db")
    unnamed, named = (Cloud(PROJECT, project.address, timeout=30, installation=name) for name in ("", "east"))
    shown = find_orphans(GONE, fresh, unnamed)
    assert shown
    assert all("may be another's" in orphan.kept for orphan in shown)
    assert find_orphans(GONE, fresh, named) == []
    for cloud in (unnamed, named):
        assert all(not orphan.kept for orphan in find_orphans(GONE, fresh, cloud, unnamed=True))


def test_the_mark_of_an_installation_without_a_name_is_what_it_always_was(project: World, tmp_path: Path) -> None:
    install(project, "", tmp_path).reconcile(EDGE)
    marks = {item["description"].split(" for ")[0] for item in everything(project) if "description" in item}
    assert marks == {"headroom-managed", "headroom-managed: hot capacity"}
    labels = [item["labels"] for item in everything(project) if "labels" in item]
    assert all(set(labelled) == {"headroom-managed", "headroom-service"} for labelled in labels)
