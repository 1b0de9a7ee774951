"""The newsvendor's policy: every hour for itself, hot up to the quantile of demand at which one machine more costs what it saves."""

from __future__ import annotations

import pandas as pd

from headroom.settings_services import Policy, Service
from infra.policies.value import best_quantile

__all__ = ["NewsvendorPolicy"]


class NewsvendorPolicy:
    """All of the need at `best_quantile` is hot; there is no standby."""

    def __init__(self, settings: Policy) -> None:
        self._settings = settings

    def quantile(self, service: Service) -> float:
        return best_quantile(self._settings, service)

    def split(self, need: pd.DataFrame) -> pd.DataFrame:
        """See `PoolPolicy.split`; `tier` is high: nothing depends on the confidence."""
        return pd.DataFrame(
            {"hot": need["needed"], "warm": 0.0, "cold": 0.0, "tier": "high", "why": "newsvendor: one more would cost more than it saves"}
        )
