"""Boosts: recorded with their reason, from a limited budget, known only once they begin, and felt by every policy."""

from pathlib import Path

import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.boosts import Boost, boosts_known, boosts_of, grant_boost, hours_left
from infra.ledger import Ledger
from tests.infra.forecast_rows import ISSUE, forecasts, settings
from tests.infra.planned_rows import planned_rows

HOUR = pd.Timedelta("1h")
TROUBLE = Boost("tenants", ISSUE, ISSUE + 2 * HOUR, "errors above the SLO")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


def _hot(plan: pd.DataFrame, service: str) -> list[float]:
    rows = plan[(plan["service"] == service) & (plan["resource"] == "instances") & (plan["region"] == "us-central1")]
    return rows.sort_values("ds")["hot"].tolist()


def _plans(asked: Settings, policy: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = forecasts(asked, median=100.0, confidence=0.3)
    plain = planned_rows(asked, frame, issue_time=ISSUE, policy=policy)
    return plain, planned_rows(asked, frame, issue_time=ISSUE, policy=policy, boosts=[TROUBLE])


def test_a_boost_is_kept_with_its_reason_and_asking_again_changes_nothing(ledger: Ledger) -> None:
    for _ in range(2):
        grant_boost(settings(), ledger, TROUBLE)
    assert boosts_known(ledger) == [TROUBLE]
    assert str(TROUBLE) == "tenants from 2026-07-08 00:00 to 2026-07-08 02:00 UTC: errors above the SLO"


def test_a_plan_knows_a_boost_from_its_start_to_its_end(ledger: Ledger) -> None:
    grant_boost(settings(), ledger, Boost("edge", ISSUE + 5 * HOUR / 2, ISSUE + 4 * HOUR, "slow"))
    known = [bool(boosts_of(ledger, ISSUE + hour * HOUR)) for hour in range(6)]
    assert known == [False, False, False, True, False, False]


def test_the_budget_of_boosts_is_limited_within_any_seven_days(ledger: Ledger) -> None:
    limited = settings("{boost_hours_per_week: 5}")
    grant_boost(limited, ledger, Boost("edge", ISSUE, ISSUE + 3 * HOUR, "slow"))
    assert hours_left(limited, boosts_known(ledger), ISSUE + 24 * HOUR) == 2
    with pytest.raises(BadInputError, match=r"6 hours of boosts within seven days, above policy.boost_hours_per_week 5; 2 are left"):
        grant_boost(limited, ledger, Boost("tenants", ISSUE + 24 * HOUR, ISSUE + 27 * HOUR, "slow"))
    grant_boost(limited, ledger, Boost("tenants", ISSUE + 7 * 24 * HOUR, ISSUE + (7 * 24 + 3) * HOUR, "a week later"))


def test_a_budget_that_was_lowered_counts_for_the_weeks_from_now_on(ledger: Ledger) -> None:
    grant_boost(settings("{boost_hours_per_week: 20}"), ledger, Boost("edge", ISSUE, ISSUE + 20 * HOUR, "slow"))
    lowered, later = settings("{boost_hours_per_week: 5}"), ISSUE + 14 * 24 * HOUR
    with pytest.raises(BadInputError, match="0 are left"):
        grant_boost(lowered, ledger, Boost("edge", ISSUE + 24 * HOUR, ISSUE + 25 * HOUR, "slow"))
    assert grant_boost(lowered, ledger, Boost("edge", later, later + 3 * HOUR, "slow")) in boosts_known(ledger)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Boost("nobody", ISSUE, ISSUE + HOUR, "x"), "no service 'nobody'; there is: edge, scores, tenants"),
        (Boost("edge", ISSUE, ISSUE, "x"), "is no time"),
        (Boost("edge", ISSUE, ISSUE + HOUR, " "), "say why"),
        (Boost("edge", ISSUE + HOUR / 6, ISSUE + HOUR / 2, "x"), "no full hour, when plans are made"),
    ],
)
def test_a_boost_that_makes_no_sense_is_refused(ledger: Ledger, wrong: Boost, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        grant_boost(settings(), ledger, wrong)
    assert boosts_known(ledger) == []


@pytest.mark.parametrize("policy", ["tiered", "newsvendor", "optimal"])
def test_a_boosted_service_gets_more_in_its_hours_and_the_line_says_why(policy: str) -> None:
    plain, boosted = _plans(settings(), policy)
    more = [after - before for before, after in zip(_hot(plain, "tenants"), _hot(boosted, "tenants"), strict=True)]
    assert min(more[:2]) > 0
    assert max(more[4:]) == 0
    assert _hot(plain, "edge") == _hot(boosted, "edge")
    rows = boosted[(boosted["service"] == "tenants") & (boosted["resource"] == "instances")].sort_values("ds")
    assert "boosted until 2026-07-08 02:00: errors above the SLO" in rows["why"].iloc[0]
    assert "boosted" not in rows["why"].iloc[5]


def test_a_boost_decides_who_gives_when_the_budget_binds() -> None:
    plain, boosted = _plans(settings("{budget_usd_per_day: 1200, boost_factor: 100}"), "optimal")
    assert sum(_hot(boosted, "tenants")[:2]) > sum(_hot(plain, "tenants")[:2])
    assert boosted.groupby((boosted["ds"] - ISSUE) // (24 * HOUR))["cost_usd"].sum().max() <= 1200
