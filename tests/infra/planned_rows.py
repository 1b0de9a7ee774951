"""The rows of a plan, from what a test says is known."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from headroom.settings import Settings
from infra.planner import Known, plan_capacity


def planned_rows(
    settings: Settings,
    forecasts: pd.DataFrame,
    *,
    issue_time: pd.Timestamp,
    policy: str | None = None,
    regions: Sequence[str] | None = None,
    **known: Any,
) -> pd.DataFrame:
    return plan_capacity(settings, forecasts, issue_time=issue_time, policy=policy, regions=regions, known=Known(**known)).rows
