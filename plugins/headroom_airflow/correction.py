"""What a run of `correct_capacity` was asked to do, and the operator that moves the machines of one region."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from headroom_airflow.cloud_operator import CloudOperator
from headroom_airflow.conduct import current_run_type, run_issue_time

if TYPE_CHECKING:
    import pandas as pd
    from airflow.sdk import Context

    from headroom.runtime import Runtime

__all__ = ["Asked", "CorrectOperator", "asked_of_run", "orders_for", "why_dry"]

_LOG: Final = logging.getLogger(__name__)
# What the next 15 minutes needed is over by then.
_LATE_MINUTES: Final = 15


@dataclass(frozen=True)
class Asked:
    """What the current run shall do.

    Attributes:
        regions: to correct; None for all.
        why_dry: the reason to change nothing, for the log; empty when the run acts.
        sources: names of all sources of measurements.
    """

    issue_time: pd.Timestamp
    regions: list[str] | None
    why_dry: str
    sources: list[str]


def asked_of_run() -> Asked:
    """What the current run shall do; it is skipped where corrections are not configured."""
    from headroom.correction import CORRECTION_STEP, UNSET
    from headroom.issue_time import as_utc
    from headroom.runtime import Runtime

    settings, params, issue = Runtime.open().settings, get_current_context()["params"], run_issue_time(CORRECTION_STEP)
    if settings.policy.correction is None:
        raise AirflowSkipException(UNSET)
    why = why_dry(params, current_run_type(), issue, now=as_utc(datetime.now(UTC)))
    return Asked(issue, params["regions"], why, [source.name for source in settings.metrics])


def why_dry(params: Mapping[str, Any], run_type: str, issue_time: pd.Timestamp, *, now: pd.Timestamp) -> str:
    """Why a run only says what it would do; empty when it acts.

    Args:
        params: of the run; `dry_run` counts only when a person started it.
        run_type: `manual`, `scheduled` or `backfill`.
        now: the wall clock; a run of the clock that comes late, or is cleared later, must not act upon minutes that are over.
    """
    if run_type == "manual":
        return "asked for by the param dry_run" if params["dry_run"] else ""
    if run_type != "scheduled":
        return f"a {run_type} run never acts"
    late = (now - issue_time).total_seconds() / 60
    return f"{issue_time.isoformat()} was {late:.0f} minutes ago" if late > _LATE_MINUTES else ""


def orders_for(opened: Runtime, asked: Asked) -> list[dict[str, Any]]:
    """Decide; one order per region for `CorrectOperator`, JSON-ready. What is decided, and what cannot be, is in the log by name."""
    from headroom.correction import decide

    decided = decide(opened, issue_time=asked.issue_time, regions=asked.regions)
    if asked.why_dry:
        _LOG.info("nothing is moved: %s", asked.why_dry)
    for name, why in decided.left_out.items():
        _LOG.warning("not corrected: %s: %s", name, why)
    for row in decided.rows:
        _LOG.log(logging.WARNING if row.unmet else logging.INFO, "%s/%s: %s", row.region, row.service, row.why)
    rows = {name: [row.as_dict() for row in decided.of(name)] for name in decided.regions}
    return [{"region": name, "dry_run": bool(asked.why_dry), "rows": own} for name, own in rows.items()]


class CorrectOperator(CloudOperator):
    """Lets run in a region what was decided; clearing the task is always safe, for what is newer counts.

    Returns:
        The `infra.reconciler.ReconcileReport` as a dict.

    Args:
        order: one of `orders_for`.
    """

    template_fields: Sequence[str] = ("order", *CloudOperator.template_fields)

    def __init__(self, *, order: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.order = order

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        from headroom.correction import correct_region
        from headroom.errors import OvertakenError
        from headroom.runtime import Runtime
        from infra.corrections import Correction

        opened = Runtime.open()
        rows = [Correction.read(row) for row in self.order["rows"]]
        try:
            return self.told(correct_region(opened, rows, dry_run=self.order["dry_run"], cloud=self.cloud(opened)))
        except OvertakenError as error:
            raise AirflowSkipException(str(error)) from error
