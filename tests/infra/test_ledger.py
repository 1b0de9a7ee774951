"""The ledger keeps what a crash must not lose, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from plan_rows import ISSUE, PROJECT, REGION, ZONES
from sqlalchemy import inspect, text

from headroom.errors import UnavailableError
from headroom.sql_engine import open_engine
from infra.actions import Action
from infra.ledger import Ledger
from infra.ledger_rows import Fact, Holding, Unmet
from infra.ledger_tables import create_tables

LATER = ISSUE + pd.Timedelta("12h")
RESERVE = Action(
    verb="create",
    kind="reservation",
    region=REGION,
    zone=ZONES[0],
    service="edge",
    name="headroom-edge-n2-standard-8",
    description="reserve 10",
    wanted={"count": 10, "machine_type": "n2-standard-8"},
    observed={"count": 0},
    usd_per_hour=3.5,
    amount=10,
    machine_type="n2-standard-8",
)
REFUSED = Fact(
    region=REGION,
    zone=ZONES[0],
    service="edge",
    name=RESERVE.name,
    resource="reservation",
    code="ZONE_RESOURCE_POOL_EXHAUSTED",
    message="no more",
    asked=10,
    got=0,
)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(database_url)
    yield opened
    opened.engine.dispose()


def test_a_row_is_readable_by_another_process_before_its_call_and_until_its_end(ledger: Ledger, database_url: str) -> None:
    other = Ledger.open(database_url)
    entry = ledger.plan(PROJECT, ISSUE, RESERVE)
    assert other.unfinished(REGION) == [entry]
    assert entry.action == RESERVE
    assert entry.issue_time == ISSUE
    sent = ledger.sent(entry, "operation-1")
    assert other.unfinished(REGION) == [sent]
    done = ledger.done(sent)
    assert other.unfinished(REGION) == []
    assert other.recent(REGION) == [done]
    assert (done.state, done.operation) == ("done", "operation-1")
    other.engine.dispose()


def test_a_retry_has_the_same_request_id_and_a_later_need_another(ledger: Ledger) -> None:
    first = ledger.plan(PROJECT, ISSUE, RESERVE)
    assert ledger.plan(PROJECT, ISSUE, RESERVE) == first
    assert ledger.plan(PROJECT, LATER, RESERVE).request_id != first.request_id
    assert ledger.plan(PROJECT, ISSUE, replace(RESERVE, wanted={"count": 11})).request_id != first.request_id
    ledger.done(first)
    again = ledger.plan(PROJECT, ISSUE, RESERVE)
    assert again.request_id != first.request_id
    assert again.id != first.id


def test_the_same_want_has_the_same_request_id_in_every_ledger(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger.open(f"sqlite:///{tmp_path}/other.db")
    assert other.plan(PROJECT, ISSUE, RESERVE).request_id == ledger.plan(PROJECT, ISSUE, RESERVE).request_id
    assert other.plan("another-project", ISSUE, RESERVE).request_id != ledger.plan(PROJECT, ISSUE, RESERVE).request_id
    other.engine.dispose()


def test_a_refusal_and_its_fact_are_one_write(ledger: Ledger) -> None:
    entry = ledger.plan(PROJECT, ISSUE, RESERVE)
    failed = ledger.failed(entry, REFUSED.code, REFUSED.message, REFUSED)
    assert (failed.state, failed.code) == ("failed", REFUSED.code)
    assert ledger.facts(REGION, ISSUE) == [REFUSED]
    assert ledger.facts(REGION, LATER) == []


def test_a_fact_keeps_the_smallest_refused_amount(ledger: Ledger) -> None:
    for asked in (10, 6, 8):
        ledger.record_fact(ISSUE, replace(REFUSED, asked=asked, got=5))
    assert ledger.facts(REGION, ISSUE) == [replace(REFUSED, asked=6, got=5)]


def test_the_result_of_a_region_replaces_the_one_before(ledger: Ledger) -> None:
    hot = Holding(ZONES[0], "edge", "instances", "hot", RESERVE.name, 10, "instances", 3.5)
    missing = Unmet("edge", "instances", "hot", "instances", 12, 10, "stockout")
    ledger.record_result(REGION, ISSUE, [hot], [missing])
    ledger.record_result("asia-east1", ISSUE, [hot], [])
    ledger.record_result(REGION, LATER, [replace(hot, amount=12)], [])
    held = ledger.held()
    assert held[["region", "amount"]].to_numpy().tolist() == [["asia-east1", 10], [REGION, 12]]
    assert ledger.unmet(REGION, issue_time=ISSUE)[["wanted", "held", "reason"]].to_numpy().tolist() == [[12, 10, "stockout"]]
    assert ledger.unmet(REGION, issue_time=LATER).empty
    assert ledger.newest_issue_time() == LATER
    assert ledger.newest_issue_time("asia-east1") == ISSUE


def test_an_empty_ledger_answers_with_nothing(ledger: Ledger) -> None:
    assert ledger.held().empty
    assert "usd_per_hour" in ledger.held().columns
    assert ledger.newest_issue_time() is None
    assert ledger.recent() == []


def test_tables_are_made_once_however_many_start_at_the_same_time(database_url: str) -> None:
    def bootstrap() -> None:
        engine = open_engine(database_url)
        try:
            create_tables(engine)
        finally:
            engine.dispose()

    _at_the_same_time([bootstrap] * 6)
    engine = open_engine(database_url)
    assert {"ledger_actions", "ledger_facts", "ledger_unmet", "ledger_holdings"} <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_writers_wait_for_each_other(ledger: Ledger) -> None:
    def write(number: int) -> None:
        for step in range(10):
            action = replace(RESERVE, name=f"r-{number}-{step}")
            ledger.done(ledger.sent(ledger.plan(PROJECT, ISSUE, action), "operation"))

    _at_the_same_time([lambda n=n: write(n) for n in range(4)])  # type: ignore[misc]
    assert len([entry for entry in ledger.recent(REGION) if entry.state == "done"]) == 40


def _at_the_same_time(calls: list) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for started in [pool.submit(call) for call in calls]:
            started.result()


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"ledger sqlite:///.*/none/headroom\.db: unable to open database file; check HEADROOM_HOME"):
        Ledger.open(f"sqlite:///{tmp_path}/none/headroom.db")
    with pytest.raises(UnavailableError, match=r"ledger postgresql\S*://me:\*\*\*@127\.0\.0\.1:1/headroom: "):
        Ledger.open("postgresql+psycopg://me:secret@127.0.0.1:1/headroom")


def test_a_ledger_of_before_a_column_gets_it_and_keeps_its_rows(database_url: str) -> None:
    old = Ledger.open(database_url)
    old.record_result(REGION, ISSUE, [Holding(ZONES[0], "edge", "instances", "hot", RESERVE.name, 10, "instances", 3.5)], [])
    with old.engine.begin() as connection:
        for table in ("ledger_holdings", "ledger_held_history", "ledger_unmet", "ledger_adoptions"):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN machine_type"))
    old.engine.dispose()
    opened = Ledger.open(database_url)
    assert opened.held()[["amount", "machine_type"]].to_numpy().tolist() == [[10, ""]]
    opened.record_result(REGION, LATER, [], [Unmet("edge", "instances", "hot", "instances", 12, 10, "stockout", "n2-standard-8")])
    assert opened.unmet(REGION)["machine_type"].tolist() == ["n2-standard-8"]
    opened.engine.dispose()
