"""How every DAG of Headroom behaves: its clock, its dates, its retries."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, get_current_context

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AS_OF", "DAG_ARGS", "asset_extra", "current_run_type", "run_issue_time"]

_RETRY_POLICY: Final = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="headroom.errors.BadInputError",
            action=RetryAction.FAIL,
            reason="The input is wrong; the same input fails again. The message names the remedy.",
        ),
        RetryRule(
            exception=["headroom.errors.UnavailableError", ConnectionError, TimeoutError],
            action=RetryAction.RETRY,
            reason="Something did not answer; trying again with backoff.",
        ),
    ]
)

# A recording has an end: after it the clock makes no runs, so that a demo is never woken by the calendar on the wall.
_RECORDING_END: Final = os.environ.get("HEADROOM_RECORDING_END")

DAG_ARGS: Final[dict[str, Any]] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "end_date": datetime.fromisoformat(_RECORDING_END) if _RECORDING_END else None,
    "catchup": False,
    "default_args": {
        "owner": "headroom",
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": _RETRY_POLICY,
        "execution_timeout": timedelta(hours=1),
    },
}

AS_OF: Final = Param(
    None,
    type=["null", "string"],
    format="date-time",
    description="Act as if it were this moment (UTC, whole hours). Empty: the logical date of the run.",
)


def run_issue_time(step: str = "h") -> pd.Timestamp:
    """The issue time of the current run, a multiple of `step`; the same in every task of the run."""
    from headroom.issue_time import as_utc, issue_time

    context: dict[str, Any] = dict(get_current_context())
    return issue_time(context, now=as_utc(context["dag_run"].run_after), step=step)


def current_run_type() -> str:
    """How the current run came to be: `manual`, `scheduled`, `backfill` or `asset_triggered`."""
    from headroom.issue_time import run_type

    return run_type(get_current_context()["dag_run"])


def asset_extra(issue: pd.Timestamp, **facts: Any) -> dict[str, Any]:
    """What an asset event carries: the issue time and the given row counts and digests."""
    from headroom.issue_time import EVENT_KEY

    return {EVENT_KEY: issue.isoformat(), **facts}
