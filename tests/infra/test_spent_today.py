"""What the ledger knows of today's money at an issue time: nothing later, nothing twice, and what is held beside the plan."""

from pathlib import Path

import pandas as pd
import pytest

from infra.ledger import Ledger
from infra.ledger_rows import Holding
from infra.spent_today import spent_today
from infra.unit_prices import unit_prices
from tests.infra.forecast_rows import ISSUE, settings

HOUR = pd.Timedelta("1h")
REGION = "us-central1"


def hot(usd: float) -> Holding:
    return Holding("us-central1-a", "tenants", "instances", "hot", "r", 1.0, "instances", usd)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """2 USD an hour from 22:00 of the day before, 5 from 03:00, 9 from 06:00."""
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    for over, usd in ((-2, 2.0), (3, 5.0), (6, 9.0)):
        opened.record_result(REGION, ISSUE + over * HOUR, [hot(usd)], [])
    return opened


def no_plan(issued: pd.Timestamp, region: str) -> pd.DataFrame:
    return pd.DataFrame({"region": [], "service": []})


@pytest.mark.parametrize(
    ("over", "usd", "known", "now"), [(0, 0.0, 0, 2.0), (1, 2.0, 1, 2.0), (5, 16.0, 5, 5.0), (6, 21.0, 6, 5.0), (8, 39.0, 8, 9.0)]
)
def test_the_hours_since_midnight_are_spent_and_those_to_come_are_not_known(
    ledger: Ledger, over: int, usd: float, known: int, now: float
) -> None:
    found = spent_today(settings(), ledger, no_plan, issue_time=ISSUE + over * HOUR, planned=[(REGION, "tenants")])
    assert (found.usd, found.known_hours) == (usd, known)
    assert found.beside_usd_per_hour == now, "no plan asks for what is held"


def test_what_the_plan_in_force_asks_for_is_not_held_beside_it(ledger: Ledger) -> None:
    def plan_of(issued: pd.Timestamp, region: str) -> pd.DataFrame:
        line = {"region": region, "service": "tenants", "resource": "instances", "machine_type": "n2-standard-4"}
        return pd.DataFrame([{**line, "ds": issued + over * HOUR, "hot": 10.0, "warm": 0.0} for over in range(24)])

    planned = spent_today(settings(), ledger, plan_of, issue_time=ISSUE + 8 * HOUR, planned=[(REGION, "tenants")])
    hot_usd, _ = unit_prices(settings(), REGION, "tenants", "instances", "n2-standard-4")
    assert planned.beside_usd_per_hour == pytest.approx(9.0 - 10 * hot_usd)
    left_out = spent_today(settings(), ledger, plan_of, issue_time=ISSUE + 8 * HOUR, planned=[])
    assert left_out.beside_usd_per_hour == 9.0


def test_an_empty_ledger_knows_no_hour(tmp_path: Path) -> None:
    found = spent_today(settings(), Ledger.open(f"sqlite:///{tmp_path}/other.db"), no_plan, issue_time=ISSUE + 5 * HOUR, planned=[])
    assert (found.usd, found.known_hours, found.beside_usd_per_hour) == (0.0, 0, 0.0)
