"""What corrections did, read back from the ledger after real ones in the local cloud: what ran, until when, what failed, and its cost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cloud_world import World, world
from plan_rows import ISSUE, REGION, ZONES, plan_of, settings_text

from headroom.corrected import spells_of
from headroom.settings import parse_settings
from infra.correction_history import correction_history, machines_confirmed
from infra.corrections import Correction, record_corrections
from infra.prices import list_prices

N2 = "n2-standard-8"
FIVE, HOUR = pd.Timedelta("5min"), pd.Timedelta("1h")
PLAN = plan_of({"edge": {"instances": (3, 2)}})
DEARER = list_prices().hot_usd_per_hour(N2, REGION) - list_prices().warm_usd_per_hour(N2, REGION)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as opened:
        opened.reconcile(PLAN)
        opened.admin("clock", advance_seconds=60)
        yield opened


def decided(minutes: int, hot: int, *, needed: int | None = None, plan: pd.Timestamp = ISSUE) -> Correction:
    at = plan + pd.Timedelta(minutes=minutes)
    need = hot if needed is None else needed
    return Correction(REGION, "edge", N2, at, plan, at + 3 * FIVE, need, hot, 5 - hot, hot - 3, f"the next 15 minutes need {need}")


def correct(here: World, *rows: Correction, plan: pd.DataFrame = PLAN, **options: Any) -> None:
    for row in rows:
        here.reconcile(plan, issue_time=row.plan_time, corrections=[row], **options)
        here.admin("clock", advance_seconds=60)


def test_what_ran_beyond_the_plan_costs_until_the_next_correction(here: World) -> None:
    correct(here, decided(5, 4), decided(10, 5), decided(20, 3))
    rows = correction_history(here.ledger, here.settings, start=ISSUE)
    assert rows[["planned", "standby", "hot", "ran", "missing"]].to_numpy().tolist() == [[3, 2, 4, 4, 0], [3, 2, 5, 5, 0], [3, 2, 3, 3, 0]]
    assert rows["ends"].tolist()[:2] == [ISSUE + 2 * FIVE, ISSUE + 4 * FIVE]
    assert rows["ended"].tolist() == [True, True, False]
    assert rows["machine_hours"].tolist() == pytest.approx([5 / 60, 2 * 10 / 60, 0])
    assert rows["usd"].sum() == pytest.approx(25 / 60 * DEARER)
    (spell,) = spells_of(rows)
    assert (spell.start, spell.end, spell.ended) == (ISSUE + FIVE, ISSUE + 4 * FIVE, True)
    assert (spell.planned, spell.standby, spell.needed, spell.ran, spell.failures) == (3, 2, 5, 5, ())
    assert spell.why == "the next 15 minutes need 5"


def test_a_machine_that_waited_stopped_cost_nothing_there(here: World) -> None:
    correct(here, decided(5, 4), decided(10, 3))
    edge = here.settings.services["edge"]
    for change, saved in (
        ({"standby": "stopped"}, 0.0),
        ({"standby": "suspended"}, list_prices().warm_usd_per_hour(N2, REGION)),
        ({"standby": "stopped", "machine_type": "e2-standard-4"}, list_prices().warm_usd_per_hour(N2, REGION)),
    ):
        other = edge.model_copy(update={"capacity": edge.capacity.model_copy(update=change)})
        told = here.settings.model_copy(update={"services": {**here.settings.services, "edge": other}})
        rows = correction_history(here.ledger, told, start=ISSUE)
        assert rows["usd"].sum() == pytest.approx(5 / 60 * (list_prices().hot_usd_per_hour(N2, REGION) - saved))


def test_a_resume_that_found_no_stock_is_told_with_what_the_cloud_said_and_costs_nothing(here: World) -> None:
    for zone in ZONES:
        here.admin("stock", zone=zone, sku="resuming", limit=0)
    correct(here, decided(5, 5))
    (row,) = correction_history(here.ledger, here.settings, start=ISSUE).to_dict("records")
    assert (row["ran"], row["missing"], row["usd"]) == (3, 2, 0)
    (spell,) = spells_of(correction_history(here.ledger, here.settings, start=ISSUE))
    assert not spell.ended
    (failure,) = spell.failures
    assert failure.startswith("2 did not run: ")
    assert "RESOURCE_POOL_EXHAUSTED" in failure
    assert REGION in failure


def test_what_was_needed_beyond_standby_is_told(here: World) -> None:
    correct(here, decided(5, 5, needed=8))
    (spell,) = spells_of(correction_history(here.ledger, here.settings, start=ISSUE))
    assert spell.failures == ("3 fewer could run than were needed",)


def test_the_next_plan_that_changes_the_region_ends_it(here: World) -> None:
    correct(here, decided(50, 5))
    later = ISSUE + HOUR
    here.reconcile(plan_of({"edge": {"instances": (6, 0)}}, issue=later), issue_time=later)
    (row,) = correction_history(here.ledger, here.settings, start=ISSUE).to_dict("records")
    assert (row["ends"], row["ended"]) == (later, True)
    assert row["machine_hours"] == pytest.approx(2 * 10 / 60)


def test_one_that_was_killed_before_its_end_is_not_said_to_have_run(here: World) -> None:
    record_corrections(here.ledger, [decided(5, 5)])
    (row,) = correction_history(here.ledger, here.settings, start=ISSUE).to_dict("records")
    assert pd.isna(row["ran"])
    assert (row["missing"], row["usd"]) == (0, 0)
    (spell,) = spells_of(correction_history(here.ledger, here.settings, start=ISSUE))
    assert (spell.ran, spell.failures) == (None, ("no reconciliation was finished",))


def test_an_earlier_moment_knows_less_and_an_open_end_is_that_moment(here: World) -> None:
    correct(here, decided(5, 4), decided(15, 3))
    at = ISSUE + 2 * FIVE
    (row,) = correction_history(here.ledger, here.settings, start=ISSUE, end=at).to_dict("records")
    assert (row["ends"], row["ended"]) == (at, False)
    assert correction_history(here.ledger, here.settings, start=at, end=at).empty


def test_a_time_without_corrections_parts_two_spells(here: World) -> None:
    correct(here, decided(5, 4), decided(10, 3), decided(20, 5), decided(30, 5), decided(40, 3))
    spells = spells_of(correction_history(here.ledger, here.settings, start=ISSUE))
    assert [(spell.start - ISSUE) / FIVE for spell in spells] == [4, 1]
    assert [(spell.end - ISSUE) / FIVE for spell in spells] == [8, 2]


def test_of_several_types_only_a_refusal_is_missing(tmp_path: Path) -> None:
    """One of the three has two of half its size in its place: a fourth comes out of standby, and nothing failed."""
    text = settings_text().replace(f"machine_type: {N2},", f"machine_type: {N2}, also: [n2-standard-4],")
    with world(tmp_path, stock={zone: {N2: 1} for zone in ZONES}, chosen=parse_settings(text)) as here:
        here.reconcile(PLAN)
        for zone in ZONES:
            here.admin("stock", zone=zone, sku=N2, limit=None)
        here.admin("clock", advance_seconds=60)
        correct(here, decided(10, 4))
        (row,) = correction_history(here.ledger, here.settings, start=ISSUE).to_dict("records")
        assert (row["ran"], row["hot"], row["missing"], row["refused"]) == (3, 4, 0, "")


def test_every_reconciliation_says_what_was_hot_and_warm(here: World) -> None:
    correct(here, decided(5, 5), decided(10, 3))
    seen = machines_confirmed(here.ledger, start=ISSUE, end=ISSUE + HOUR)
    assert set(zip(seen["service"], seen["machine_type"], strict=True)) == {("edge", N2)}
    assert seen[["hot", "warm"]].to_numpy().tolist() == [[3, 2], [5, 0], [3, 2]]
    assert seen["ds"].tolist() == [ISSUE, ISSUE + FIVE, ISSUE + 2 * FIVE]


def test_a_ledger_without_corrections_has_no_history(here: World) -> None:
    assert correction_history(here.ledger, here.settings, start=ISSUE).empty
    assert spells_of(correction_history(here.ledger, here.settings, start=ISSUE)) == ()
