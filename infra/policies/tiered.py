"""The tiered policy: the surer the forecast, the more of the need is held hot."""

from __future__ import annotations

import numpy as np
import pandas as pd

from headroom.settings_services import Policy, Service
from infra.capacity_need import INSTANCES, STEPS, round_up

__all__ = ["TieredPolicy", "confidence_tier"]


def confidence_tier(settings: Policy, confidence: pd.Series[float]) -> pd.Series[str]:
    """high, medium or low, by the thresholds of the settings."""
    above = [confidence > settings.high_confidence, confidence > settings.medium_confidence]
    return pd.Series(np.select(above, ["high", "medium"], "low"), index=confidence.index)


class TieredPolicy:
    """Splits a need `N` by the confidence `c` of its service and hour.

    | tier | when | machines hot | machines warm | bandwidth hot (rest cold) |
    |---|---|---|---|---|
    | high | c > `high_confidence` | N | 0 | N |
    | medium | c > `medium_confidence` | `medium_share` x N, rounded up | N - hot | `medium_share` x N, rounded up |
    | low | otherwise | `minimum_instances` | N - hot | `medium_share` x N, rounded up |

    Bandwidth has no standby: what is not held is bought when used, and the low tier holds as much as the medium one.
    Storage is hot in every tier: a disk that is too small stops the service, and it cannot shrink again. The hot share
    never falls when the confidence rises, nor when the need does.
    """

    def __init__(self, settings: Policy) -> None:
        self._settings = settings
        self._share = settings.medium_share

    def quantile(self, service: Service) -> float:  # noqa: ARG002 -- the protocol's argument
        return self._settings.quantile

    def split(self, need: pd.DataFrame) -> pd.DataFrame:
        """See `PoolPolicy.split`; `tier` is high, medium or low."""
        needed = need["needed"]
        machines, storage = need["resource"] == INSTANCES, need["resource"] == "storage"
        tier = confidence_tier(self._settings, need["confidence"])
        share = round_up(self._share * needed, need["resource"].map(STEPS)).clip(lower=need["minimum"])
        low = share.where(~machines, need["minimum"])
        hot = pd.Series(np.select([(tier == "high") | storage, tier == "medium"], [needed, share], low), index=need.index)
        rest = (needed - hot).round(6)
        return pd.DataFrame(
            {"hot": hot, "warm": rest.where(machines, 0.0), "cold": rest.where(~machines, 0.0), "tier": tier, "why": self._why(need, tier)}
        )

    def _why(self, need: pd.DataFrame, tier: pd.Series[str]) -> pd.Series[str]:
        percent = f"{self._share:.0%}"
        held = {
            INSTANCES: ("all hot", f"{percent} hot, rest warm", "minimum hot, rest in warm standby"),
            "bandwidth": ("all held", f"{percent} held, rest cold (no standby)", f"{percent} held, rest cold (no standby)"),
            "storage": ("all held", "all held (a disk cannot wait)", "all held (a disk cannot wait)"),
        }
        words = {(resource, t): text for resource, texts in held.items() for t, text in zip(("high", "medium", "low"), texts, strict=True)}
        high, medium = self._settings.high_confidence, self._settings.medium_confidence
        rule = tier.map({"high": f" > {high:g}", "medium": f" > {medium:g}", "low": f" <= {medium:g}"})
        phrase = pd.Series(pd.MultiIndex.from_arrays([need["resource"], tier]).map(words), index=need.index)
        return "confidence " + need["confidence"].map("{:.3f}".format) + rule + ": " + phrase
