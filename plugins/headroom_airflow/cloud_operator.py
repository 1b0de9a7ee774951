"""What operators that write to the cloud have in common: Airflow's pool for writers, the connection, and what they tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator

from headroom_airflow.hook import HeadroomCloudHook

if TYPE_CHECKING:
    from headroom.runtime import Runtime
    from infra.cloud import Cloud
    from infra.reconciler import ReconcileReport

__all__ = ["CLOUD_POOL", "CloudOperator"]

# Airflow's pool that every writer to the cloud goes through.
CLOUD_POOL: Final = "cloud_writes"


class CloudOperator(BaseOperator):
    """An operator in the pool of the writers to the cloud.

    Args:
        cloud_conn_id: Airflow connection; None takes the one that `capacity.yaml` names.
    """

    template_fields: Sequence[str] = ("cloud_conn_id",)
    ui_color = "#d7e8d4"

    def __init__(self, *, cloud_conn_id: str | None = None, pool: str = CLOUD_POOL, **kwargs: Any) -> None:
        super().__init__(pool=pool, **kwargs)
        self.cloud_conn_id = cloud_conn_id

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As for every operator; a mapped task does not see the constructor's own default of `pool`, so it is set here."""
        return super().partial(**{"pool": CLOUD_POOL, **kwargs})

    def cloud(self, opened: Runtime) -> Cloud:
        """The cloud of the connection."""
        return HeadroomCloudHook(self.cloud_conn_id).cloud(opened)

    def told(self, report: ReconcileReport) -> dict[str, Any]:
        """The report as a dict, its actions and facts in the log."""
        for action in report.actions:
            self.log.info("%s: %s", action["state"], action["description"])
        for fact in report.facts:
            self.log.warning("%s %s: %s", fact["zone"] or fact["region"], fact["code"], fact["message"])
        return asdict(report)
