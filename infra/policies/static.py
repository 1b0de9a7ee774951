"""The static policy: the highest hour of the forecast, held in all of them. What people do who do not plan; good to compare with."""

from __future__ import annotations

import pandas as pd

from headroom.settings_services import Policy, Service
from infra.capacity_need import LINE

__all__ = ["StaticPolicy"]


class StaticPolicy:
    """Every hour holds what the highest one needs, hot."""

    def __init__(self, settings: Policy) -> None:
        self._settings = settings

    def quantile(self, service: Service) -> float:  # noqa: ARG002 -- the protocol's argument
        return self._settings.quantile

    def split(self, need: pd.DataFrame) -> pd.DataFrame:
        """See `PoolPolicy.split`; `hot` is the row's highest need, so that more than `needed` may be hot."""
        peak = need.groupby(LINE)["needed"].transform("max")
        return pd.DataFrame({"hot": peak, "warm": 0.0, "cold": 0.0, "tier": "high", "why": "static: the highest hour of the forecast"})
