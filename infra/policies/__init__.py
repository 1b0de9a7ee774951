"""Policies: how a need is split into hot, warm and cold. Chosen by name, in the settings or per run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import pandas as pd

from headroom.errors import BadInputError
from headroom.settings_services import Policy, Service
from infra.policies.newsvendor import NewsvendorPolicy
from infra.policies.reactive import ReactivePolicy
from infra.policies.static import StaticPolicy
from infra.policies.tiered import TieredPolicy

__all__ = ["OPTIMAL", "POLICIES", "REACTIVE", "PoolPolicy", "check_policy", "open_policy"]

# Plans all its services and hours together (`infra.policies.optimal`); the others decide hour by hour.
OPTIMAL: Final = "optimal"
# Follows what was measured: its need is one of `infra.measured_need.with_measured`.
REACTIVE: Final = "reactive"


class PoolPolicy(Protocol):
    """Decides the pools of every hour on its own; the planner adds lead times, costs and the budget."""

    def quantile(self, service: Service) -> float:
        """The quantile of demand that counts as the service's need."""
        ...

    def split(self, need: pd.DataFrame) -> pd.DataFrame:
        """`hot, warm, cold, tier, why` on the index of `need`, a frame that `capacity_need` returned.

        `hot + warm + cold` is at least `needed`; `hot` is at least `minimum`; amounts are multiples of the resource's step;
        `warm` is 0 for what has no standby (bandwidth, storage).
        """
        ...


POLICIES: Final[dict[str, Callable[[Policy], PoolPolicy]]] = {
    "tiered": TieredPolicy,
    "newsvendor": NewsvendorPolicy,
    REACTIVE: ReactivePolicy,
    "static": StaticPolicy,
}


def check_policy(name: str) -> str:
    """The name, when there is such a policy.

    Raises:
        BadInputError: listing the names there are.
    """
    if name != OPTIMAL and name not in POLICIES:
        raise BadInputError(f"no policy {name!r}; there is: {', '.join([*POLICIES, OPTIMAL])}")
    return name


def open_policy(name: str, settings: Policy) -> PoolPolicy:
    """The policy of that name that decides hour by hour, with the parameters of the settings.

    Raises:
        BadInputError: listing the names there are.
    """
    return POLICIES[check_policy(name)](settings)
