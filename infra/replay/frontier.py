"""Cost against unmet demand: every policy at several settings, and what is compared at equal unmet demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.replay.policies import CLAIRVOYANT

__all__ = ["Point", "cost_at", "gap_closed", "lower_edge"]


@dataclass(frozen=True)
class Point:
    """A policy at a setting."""

    policy: str
    setting: float
    cost_usd: float
    unmet_volume: float


def lower_edge(points: Sequence[Point]) -> list[Point]:
    """The points that no other of them beats in both, by unmet demand ascending: cost falls along it."""
    ordered = sorted(points, key=lambda point: (point.unmet_volume, point.cost_usd))
    kept: list[Point] = []
    for point in ordered:
        if not kept or point.cost_usd < kept[-1].cost_usd:
            kept.append(point)
    return kept


def cost_at(points: Sequence[Point], unmet: float) -> float:
    """Cost at that unmet share: straight lines between the undominated settings, the cheapest beyond the last; NaN where none misses so little."""
    edge = lower_edge(points)
    if not edge or unmet < edge[0].unmet_volume:
        return float("nan")
    return float(np.interp(unmet, [point.unmet_volume for point in edge], [point.cost_usd for point in edge]))


def gap_closed(points: Mapping[str, Sequence[Point]], unmet: float, policy: str = "optimal") -> dict[str, Any]:
    """How much of the cost between the best other policy and clairvoyant `policy` closes at this unmet share.

    Returns:
        `unmet_volume, cost_usd` (of every policy), `best_other`, `gap_closed` (1 is clairvoyant; None when one of the costs is unknown).
    """
    costs = {name: cost_at(found, unmet) for name, found in points.items()}
    others = {name: cost for name, cost in costs.items() if name not in (policy, CLAIRVOYANT) and np.isfinite(cost)}
    told = {name: cost if np.isfinite(cost) else None for name, cost in costs.items()}
    if not others or told.get(policy) is None or told.get(CLAIRVOYANT) is None:
        return {"unmet_volume": unmet, "cost_usd": told, "best_other": None, "gap_closed": None}
    best = min(others, key=lambda name: others[name])
    gap = others[best] - costs[CLAIRVOYANT]
    closed = (others[best] - costs[policy]) / gap if gap > 0 else None
    return {"unmet_volume": unmet, "cost_usd": told, "best_other": best, "gap_closed": closed}
