"""The bill: what each hour held and cost, beside its plan and beside doing nothing."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from cloud_world import World, world
from plan_rows import ISSUE, REGION, ZONES, plan_of

from headroom.errors import BadInputError
from infra.bill import held_hours, hourly_bill
from infra.ledger import Ledger
from infra.ledger_rows import Holding

EAST = "us-east1"


def at(hours: float) -> pd.Timestamp:
    return ISSUE + pd.Timedelta(hours=hours)


def hot(amount: float, usd: float, zone: str = ZONES[0]) -> Holding:
    return Holding(zone, "edge", "instances", "hot", "r", amount, "instances", usd)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """2 USD from hour 0 in two zones, 5 from hour 3, nothing from hour 5; in the east 1 USD from hour 4."""
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    opened.record_result(REGION, at(0), [hot(1, 0.5), hot(3, 1.5, ZONES[1])], [])
    opened.record_result(REGION, at(3), [hot(9, 9.0)], [])
    opened.record_result(REGION, at(3), [hot(5, 5.0)], [])  # taken up again: it replaces what the first attempt confirmed
    opened.record_result(REGION, at(5), [], [])
    opened.record_result(EAST, at(4), [hot(1, 1.0)], [])
    yield opened
    opened.engine.dispose()


def test_an_hour_holds_what_was_confirmed_until_the_next_reconciliation(ledger: Ledger) -> None:
    rows = held_hours(ledger, start=at(-1), end=at(8), region=REGION)
    assert rows["ds"].tolist() == [at(hour) for hour in range(5)]
    assert rows["amount"].tolist() == [4, 4, 4, 5, 5]
    assert rows["usd_per_hour"].tolist() == [2, 2, 2, 5, 5]
    assert set(rows["service"] + "/" + rows["pool"]) == {"edge/hot"}


def test_the_bill_has_every_hour_since_the_first_reconciliation_those_without_anything_too(ledger: Ledger) -> None:
    bill = hourly_bill(ledger, plan_of({"edge": {"instances": 1}}).iloc[:0], start=at(-2), end=at(7))
    assert bill.loc[bill["region"] == REGION, "held_usd"].tolist() == [2, 2, 2, 5, 5, 0, 0]
    assert bill.loc[bill["region"] == EAST, "held_usd"].tolist() == [1, 1, 1]
    assert bill["plan_usd"].isna().all()


def test_doing_nothing_is_what_the_first_hour_held_carried_on(ledger: Ledger) -> None:
    bill = hourly_bill(ledger, plan_of({"edge": {"instances": 1}}), start=at(2), end=at(7), region=REGION)
    assert bill["unchanged_usd"].tolist() == [2] * 5
    assert bill["held_usd"].sum() == 12


def test_each_hour_is_held_against_the_newest_plan_that_there_was(ledger: Ledger) -> None:
    first, second = plan_of({"edge": {"instances": 1}}), plan_of({"edge": {"instances": 1}, "batch": {"instances": 1}}, issue=at(3))
    plans = pd.concat([second.assign(cost_usd=4.0, peak_cost_usd=6.0), first])
    bill = hourly_bill(ledger, plans, start=at(0), end=at(5), region=REGION)
    assert bill["plan_usd"].tolist() == [1, 1, 1, 8, 8]
    assert bill["peak_usd"].tolist() == [1, 1, 1, 12, 12]
    east = hourly_bill(ledger, plans, start=at(0), end=at(5), region=EAST)
    assert east["plan_usd"].isna().all(), "another region's plan is not its own"


def test_hours_that_make_no_sense_are_refused(ledger: Ledger) -> None:
    with pytest.raises(BadInputError, match="the end after the start"):
        held_hours(ledger, start=at(1), end=at(1))
    with pytest.raises(BadInputError, match="whole hours"):
        held_hours(ledger, start=at(0.5), end=at(2))


def test_an_empty_ledger_has_an_empty_bill(tmp_path: Path) -> None:
    opened = Ledger.open(f"sqlite:///{tmp_path}/empty.db")
    assert held_hours(opened, start=at(0), end=at(3)).empty
    assert hourly_bill(opened, plan_of({"edge": {"instances": 1}}), start=at(0), end=at(3)).empty
    opened.engine.dispose()


def test_what_reconciliations_hold_is_on_the_bill_at_list_prices(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        run(here, 0, 4)
        run(here, 2, 1)
        bill = hourly_bill(here.ledger, plan_of({"edge": {"instances": 4}}), start=at(0), end=at(4))
        each = float(here.ledger.held()["usd_per_hour"].sum())
        assert bill["held_usd"].tolist() == pytest.approx([4 * each, 4 * each, each, each])
        assert bill["held_usd"].sum() < bill["unchanged_usd"].sum()
        here.reconcile(plan_of({"edge": {"instances": 9}}, issue=at(3)), issue_time=at(3), dry_run=True)
        after = hourly_bill(here.ledger, plan_of({"edge": {"instances": 4}}), start=at(0), end=at(4))
        pd.testing.assert_frame_equal(after, bill)


def run(here: World, hours: int, machines: int) -> None:
    here.reconcile(plan_of({"edge": {"instances": machines}}, issue=at(hours)), issue_time=at(hours))
    here.admin("clock", advance_seconds=60)
