"""The operator that brings one region of the cloud to the plan of an issue time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator

from headroom_airflow.hook import HeadroomCloudHook

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["CLOUD_POOL", "ReconcileOperator"]

# Airflow's pool that every writer to the cloud goes through.
CLOUD_POOL: Final = "cloud_writes"


class ReconcileOperator(BaseOperator):
    """Reconciles a region; clearing the task is always safe.

    Returns:
        The `infra.reconciler.ReconcileReport` as a dict.

    Args:
        region: region of `capacity.yaml`.
        issue_time: which plan, ISO 8601.
        dry_run: only report what would be done.
        cloud_conn_id: Airflow connection; None takes the one that `capacity.yaml` names.
    """

    template_fields: Sequence[str] = ("region", "issue_time", "only_report", "cloud_conn_id")
    ui_color = "#d7e8d4"

    def __init__(
        self,
        *,
        region: str,
        issue_time: str,
        dry_run: bool | str = True,
        cloud_conn_id: str | None = None,
        pool: str = CLOUD_POOL,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool=pool, **kwargs)
        self.region = region
        self.issue_time = issue_time
        self.only_report = dry_run  # `dry_run` is a method of every operator
        self.cloud_conn_id = cloud_conn_id

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As for every operator; a mapped task does not see the constructor's own default of `pool`, so it is set here."""
        return super().partial(**{"pool": CLOUD_POOL, **kwargs})

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        from dataclasses import asdict

        from headroom.allocation import reconcile_region
        from headroom.issue_time import as_utc
        from headroom.runtime import Runtime

        opened = Runtime.open()
        cloud = HeadroomCloudHook(self.cloud_conn_id).cloud(opened)
        report = reconcile_region(
            opened, issue_time=as_utc(self.issue_time, "issue_time"), region=self.region, dry_run=_is_true(self.only_report), cloud=cloud
        )
        for action in report.actions:
            self.log.info("%s: %s", action["state"], action["description"])
        for fact in report.facts:
            self.log.warning("%s %s: %s", fact["zone"] or fact["region"], fact["code"], fact["message"])
        return asdict(report)


def _is_true(value: bool | str) -> bool:
    """A template may render to text; only the word for false turns a dry run off."""
    return value if isinstance(value, bool) else value.strip().lower() not in ("false", "0", "no")
