"""The approval that an expensive plan waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["PlanApprovalOperator"]


class PlanApprovalOperator(ApprovalOperator):
    """Airflow's approval, with the time-out that `capacity.yaml` states; no answer by then means Reject."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(defaults=self.REJECT, **kwargs)

    def execute(self, context: Context) -> Any:
        from headroom.runtime import Runtime

        self.response_timeout = timedelta(minutes=Runtime.open().settings.policy.approval_timeout_minutes)
        return super().execute(context)
