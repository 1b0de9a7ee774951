"""What a service's unserved demand is worth, and what serving it late loses: the bid that plans are weighed by."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Final

import numpy as np
import numpy.typing as npt

from headroom.settings_services import BidStep, Policy, Service
from headroom.vocabulary import QUANTILES

__all__ = ["best_quantile", "bid_usd", "purchase_loss", "resume_loss", "value_multiple"]

_HOUR_MINUTES: Final = 60.0
# An availability of three nines has the value that `policy.value_of_service` says.
_NINES: Final = 3.0
# Below the median a plan would count on failing.
_LEAST_QUANTILE: Final = 0.5


def value_multiple(policy: Policy, service: Service) -> float:
    """What an hour of unserved demand loses, in prices of the machines that would have served it: by criticality, and a third more per nine."""
    return policy.value_of_service[service.criticality] * -log10(1.0 - service.slo.availability) / _NINES


def bid_usd(bid: Sequence[BidStep], amount: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """USD that an hour of serving `amount` is worth by a bid: concave and piecewise linear, 0 for nothing; shape of `amount`."""
    worth = np.zeros_like(amount)
    below = 0.0
    for step in bid:
        end = np.inf if step.up_to is None else step.up_to
        worth += np.clip(amount - below, 0.0, end - below) * step.usd_per_unit_hour
        below = end
    return worth


def resume_loss(minutes: float, failure: float) -> float:
    """Share of an hour's demand lost when a standby machine serves it: the minutes until it does, and the chance that it does not."""
    return min(1.0, minutes / _HOUR_MINUTES + failure)


def purchase_loss(minutes: float, failure: float) -> float:
    """Share of an hour's demand lost when a machine is bought for it: the minutes that it boots, and the chance that there is none."""
    return min(1.0, minutes / _HOUR_MINUTES + failure)


def best_quantile(policy: Policy, service: Service) -> float:
    """The newsvendor's quantile of demand: one machine more costs its price p for sure, and saves, when demand reaches it, v l + p.

    With v = m p the value of service and l the share lost when the machine is bought late: P(demand reaches it) (m l + 1) = 1, so

        quantile = 1 - 1 / (m l + 1),    between 0.5 and the highest that a forecast has.
    """
    gain = value_multiple(policy, service) * purchase_loss(service.capacity.boot_minutes, policy.purchase_failure) + 1.0
    return min(max(1.0 - 1.0 / gain, _LEAST_QUANTILE), QUANTILES[-1])
