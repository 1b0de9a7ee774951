"""The issue time: one rule for every kind of run."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.issue_time import EVENT_KEY, as_utc, issue_time, run_type

NOW = pd.Timestamp("2026-07-08T12:34:56Z")


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def events(*times: str | None) -> dict[str, list[SimpleNamespace]]:
    return {"metrics": [SimpleNamespace(extra={EVENT_KEY: time} if time else None) for time in times]}


def run(kind: str = "manual", **more: object) -> SimpleNamespace:
    return SimpleNamespace(run_type=kind, **more)


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, "2026-07-08T12:00"),
        ({"logical_date": at("2026-07-01T05:59")}, "2026-07-01T05:00"),
        ({"dag_run": run("manual"), "logical_date": at("2026-07-01T05:00"), "data_interval_end": at("2026-06-30")}, "2026-07-01T05:00"),
        (
            {"dag_run": run("backfill"), "logical_date": at("2026-07-01T05:00"), "data_interval_end": at("2026-07-01T06:00")},
            "2026-07-01T06:00",
        ),
        ({"dag_run": run("scheduled", data_interval_end=at("2026-07-01T06:00"))}, "2026-07-01T06:00"),
        (
            {
                "triggering_asset_events": events("2026-07-02T03:00:00Z", None, "2026-07-02T04:00:00Z"),
                "data_interval_end": at("2026-07-09"),
            },
            "2026-07-02T04:00",
        ),
        ({"triggering_asset_events": events(None), "logical_date": at("2026-07-03")}, "2026-07-03T00:00"),
        ({"params": {"as_of": "2026-07-04T09:00:00+02:00"}, "logical_date": at("2026-07-08")}, "2026-07-04T07:00"),
        ({"params": {"as_of": None}, "logical_date": at("2026-07-08")}, "2026-07-08T00:00"),
        ({"params": {"as_of": "2026-07-04"}, "triggering_asset_events": events("2026-07-05T00:00:00Z")}, "2026-07-04T00:00"),
        ({"dag_run": run(partition_date=at("2026-07-06T10:00")), "params": {"as_of": "2026-07-04"}}, "2026-07-06T10:00"),
    ],
)
def test_the_first_time_that_a_run_has_decides(context: dict[str, object], expected: str) -> None:
    assert issue_time(context, NOW) == at(expected)


def test_runs_of_five_minutes_have_issue_times_of_five_minutes() -> None:
    context = {"dag_run": run("scheduled", data_interval_end=at("2026-07-01T06:35"))}
    assert issue_time(context, NOW, step="5min") == at("2026-07-01T06:35")
    assert issue_time({"params": {"as_of": "2026-07-01T06:38"}}, NOW, step="5min") == at("2026-07-01T06:35")


@pytest.mark.parametrize("kind", ["scheduled", "backfill"])
def test_a_param_left_from_a_manual_run_does_not_move_a_scheduled_one(kind: str) -> None:
    context = {"dag_run": run(kind, data_interval_end=at("2026-07-01T06:00")), "params": {"as_of": "2026-07-04"}}
    assert issue_time(context, NOW) == at("2026-07-01T06:00")


def test_an_as_of_that_is_no_time_is_refused_with_an_example() -> None:
    with pytest.raises(BadInputError, match=r"issue time 'yesterday-ish' is not a time: use ISO 8601, for example 2026-07-08T00:00:00Z"):
        issue_time({"params": {"as_of": "yesterday-ish"}}, NOW)


@pytest.mark.parametrize("value", [None, "", "NaT", object()])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(BadInputError, match="is not a time"):
        as_utc(value)


def test_a_time_without_a_zone_is_utc_and_one_with_a_zone_is_converted() -> None:
    assert as_utc("2026-07-08T02:00:00+02:00") == as_utc("2026-07-08") == at("2026-07-08")
    assert str(as_utc("2026-07-08T02:00:00+02:00").tz) == "UTC"


def test_the_kind_of_a_run_is_known_by_the_values_of_both_enumerations_of_airflow() -> None:
    from airflow.sdk.api.datamodels._generated import DagRunType as OfTasks
    from airflow.utils.types import DagRunType as OfTheScheduler

    for kind in (OfTasks.BACKFILL, OfTheScheduler.BACKFILL_JOB):
        assert run_type(run(kind)) == "backfill"
        context = {"dag_run": run(kind), "logical_date": at("2026-07-01T00:20"), "data_interval_end": at("2026-07-01T01:20")}
        assert issue_time(context, NOW) == at("2026-07-01T01:00")
