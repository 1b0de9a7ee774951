"""Which runs of correct_capacity act: those of the clock that come in time, and those of a person who says so."""

import pandas as pd
import pytest

from headroom_airflow.correction import why_dry

ISSUE = pd.Timestamp("2026-07-08T09:35Z")


@pytest.mark.parametrize(
    ("kind", "dry_run", "late", "why"),
    [
        ("scheduled", True, 1, ""),
        ("scheduled", True, 15, ""),
        ("scheduled", False, 16, "was 16 minutes ago"),
        ("manual", True, 0, "asked for by the param dry_run"),
        ("manual", False, 10_000, ""),
        ("backfill", False, 0, "a backfill run never acts"),
    ],
)
def test_who_acts(kind: str, dry_run: bool, late: int, why: str) -> None:
    said = why_dry({"dry_run": dry_run}, kind, ISSUE, now=ISSUE + pd.Timedelta(minutes=late))
    assert why in said
    assert bool(said) is bool(why)
