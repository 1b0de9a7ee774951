"""Policies: how a need is split into hot, warm and cold. Chosen by name, in the settings or per run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import pandas as pd

from headroom.errors import BadInputError
from headroom.settings_services import Policy
from infra.policies.tiered import TieredPolicy

__all__ = ["POLICIES", "PoolPolicy", "open_policy"]


class PoolPolicy(Protocol):
    """Decides the pools of every hour on its own; the planner adds lead times, costs and the budget."""

    def split(self, need: pd.DataFrame) -> pd.DataFrame:
        """`hot, warm, cold, tier, why` on the index of `need`, a frame that `capacity_need` returned.

        `hot + warm + cold` equals `needed`; `hot` is at least `minimum`; amounts are multiples of the resource's step;
        `warm` is 0 for what has no standby (bandwidth, storage).
        """
        ...


POLICIES: Final[dict[str, Callable[[Policy], PoolPolicy]]] = {"tiered": TieredPolicy}


def open_policy(name: str, settings: Policy) -> PoolPolicy:
    """The policy of that name, with the parameters of the settings.

    Raises:
        BadInputError: listing the names there are.
    """
    if name not in POLICIES:
        raise BadInputError(f"no policy {name!r}; there is: {', '.join(POLICIES)}")
    return POLICIES[name](settings)
