"""The reactive policy: target tracking on the demand last measured. What an autoscaler does; good to compare with, and for what nobody can forecast."""

from __future__ import annotations

import pandas as pd

from headroom.settings_services import Policy, Service

__all__ = ["ReactivePolicy"]


class ReactivePolicy:
    """All hours hold hot what was measured asks for; what the forecast asks for above that is bought when it comes.

    It goes up with the next plan and down only to the most that was wanted within `policy.stabilisation_hours`; an order's delay is the lead time.

    Source: the documentation of autoscaling of managed instance groups and of Kubernetes' horizontal pod autoscaler.
    """

    def __init__(self, settings: Policy) -> None:
        self._settings = settings

    def quantile(self, service: Service) -> float:  # noqa: ARG002 -- the protocol's argument
        return self._settings.quantile

    def split(self, need: pd.DataFrame) -> pd.DataFrame:
        """See `PoolPolicy.split`; `need` as `with_measured` returns it. `tier` is high: nothing depends on the confidence."""
        cold = (need["needed"] - need["measured"]).clip(lower=0).round(6)
        return pd.DataFrame(
            {"hot": need["measured"], "warm": 0.0, "cold": cold, "tier": "high", "why": "reactive: " + need["measured_why"]}
        )
