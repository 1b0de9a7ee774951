"""The operator that brings one region of the cloud to the plan of an issue time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headroom_airflow.cloud_operator import CloudOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["ReconcileOperator"]


class ReconcileOperator(CloudOperator):
    """Reconciles a region; clearing the task is always safe.

    Returns:
        The `infra.reconciler.ReconcileReport` as a dict.

    Args:
        region: region of `capacity.yaml`.
        issue_time: which plan, ISO 8601.
        dry_run: only report what would be done.
    """

    template_fields: Sequence[str] = ("region", "issue_time", "only_report", *CloudOperator.template_fields)

    def __init__(self, *, region: str, issue_time: str, dry_run: bool | str = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.region = region
        self.issue_time = issue_time
        self.only_report = dry_run  # `dry_run` is a method of every operator

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        from headroom.allocation import reconcile_region
        from headroom.issue_time import as_utc
        from headroom.runtime import Runtime

        opened = Runtime.open()
        issue_time, dry_run = as_utc(self.issue_time, "issue_time"), _is_true(self.only_report)
        return self.told(reconcile_region(opened, issue_time=issue_time, region=self.region, dry_run=dry_run, cloud=self.cloud(opened)))


def _is_true(value: bool | str) -> bool:
    """A template may render to text; only the word for false turns a dry run off."""
    return value if isinstance(value, bool) else value.strip().lower() not in ("false", "0", "no")
