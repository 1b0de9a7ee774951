"""What a step costs and misses: the same rule for every policy, clairvoyant included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.replay.scene import Array
from infra.replay.world import Terms

__all__ = ["Step", "settle"]


@dataclass(frozen=True, eq=False)
class Step:
    """What happened; arrays of one shape.

    Attributes:
        resumed: warm machines that were used.
        bought: cold machines that were used.
        unmet: machine-hours of demand that were not served.
        cost: USD for what was held and used, without starts.
    """

    resumed: Array
    bought: Array
    unmet: Array
    cost: Array


def settle(
    demand: Array, hot: Array, warm: Array, terms: Terms, stock_out: Array | None = None, use_usd: Array | float | None = None
) -> Step:
    """Hot machines serve first and lose nothing; warm ones are resumed for the rest, cold ones bought for what is then left.

    A machine resumed or bought serves all but its lost share (`Terms.warm_loss`, `cold_loss`). Where that is the whole step, nobody buys.
    During a stock-out nothing is resumed or bought. Where all series share a stock, what is left of it limits what they buy together, each by
    the same share. The series are the first axis.

    Args:
        use_usd: USD that resuming and buying may cost in the step, all series together, of which each then has the same share; None: no limit.
    """
    rest = np.maximum(demand - hot, 0.0)
    there = 1.0 if stock_out is None else 1.0 - stock_out
    useful_warm, useful_cold = float(terms.warm_loss < 1), float(terms.cold_loss < 1)
    resumed = np.minimum(rest, warm) * there * useful_warm
    bought = (rest - resumed) * there * useful_cold
    if np.isfinite(terms.stock):
        room = np.maximum(terms.stock - (hot + warm).sum(axis=0), 0.0)
        bought = bought * np.minimum(1.0, room / np.maximum(bought.sum(axis=0), 1e-12))
    if use_usd is not None:
        asked = ((resumed * terms.hot + bought * terms.cold) * terms.step_hours).sum(axis=0)
        part = np.minimum(1.0, np.maximum(use_usd, 0.0) / np.maximum(asked, 1e-12))
        resumed, bought = resumed * part, bought * part
    unserved = resumed * terms.warm_loss + bought * terms.cold_loss + (rest - resumed - bought)
    cost = hot * terms.hot + warm * terms.warm + resumed * terms.hot + bought * terms.cold
    return Step(resumed, bought, unserved * terms.step_hours, cost * terms.step_hours)
