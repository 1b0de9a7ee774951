"""Whole machines of one option per place: the best path through the whole numbers next to the program's fractions.

With the limits' shadow prices in the prices, places do not depend on each other, and the best whole numbers of one option, everything else
of its place staying, are a shortest path over the blocks: the states of a block are the three whole numbers around the program's, an edge
costs the starts between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from infra.program.coverage import Coverage
from infra.program.problem import BoolArray, FloatArray, IntArray

__all__ = ["PathInput", "best_path"]

_AROUND: Final = np.array([-1.0, 0.0, 1.0])[:, None, None]


@dataclass(frozen=True, eq=False)
class PathInput:
    """Options of different places, m of them.

    Attributes:
        demand: of the m places. size: (m, R) of one machine.
        there: (3, m, T, R) capacity up to hot, warm and cold without the option.
        hot_price, warm_price, cold_price: (m, T) USD per machine and block, shadow prices of the limits included.
        standby: (m, T) whether there is a warm pool. cold_most: (m, T) most cold machines that count; 0 where buying is not limited.
        target: (3, m, T) the option's machines in the program: hot, hot + warm, hot + warm + cold.
        least, most: (m, T) bounds of hot. held: (m,) hot before block 0. start_cost, stop_cost: (m, T) USD per start and per stop.
    """

    demand: Coverage
    size: FloatArray
    there: FloatArray
    hot_price: FloatArray
    warm_price: FloatArray
    cold_price: FloatArray
    standby: BoolArray
    cold_most: FloatArray
    target: FloatArray
    least: FloatArray
    most: FloatArray
    held: FloatArray
    start_cost: FloatArray
    stop_cost: FloatArray

    def saved(self, tier: int, machines: FloatArray) -> FloatArray:
        """(..., m, T) USD saved by so many machines of the option up to a tier."""
        capacity = [machines * self.size[:, None, r] + self.there[tier, ..., r] for r in range(self.size.shape[1])]
        total = np.zeros(machines.shape)
        for band in range(self.demand.weight.shape[3]):
            share = self._share(capacity, band, 0)
            for resource in range(1, len(capacity)):
                np.minimum(share, self._share(capacity, band, resource), out=share)
            np.clip(share, 0.0, 1.0, out=share)
            share *= self.demand.weight[tier, ..., band]
            total += share
        return total

    def _share(self, capacity: list[FloatArray], band: int, resource: int) -> FloatArray:
        share: FloatArray = capacity[resource] - self.demand.below[..., band, resource]
        share *= self.demand.inverse[..., band, resource]
        return share


def best_path(given: PathInput) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Whole hot, warm and cold machines, (m, T) each."""
    states = np.clip(np.clip(np.round(given.target[0]), given.least, given.most) + _AROUND, given.least, given.most)
    upto_warm = np.round(given.target[1]) + _AROUND
    upto_cold = np.round(given.target[2]) + _AROUND
    bought = partial(_bought, given, upto_cold, given.saved(2, upto_cold))
    alone = -given.saved(1, states) + bought(states)[0]
    seconds, second_usd = states, alone
    for choice, usd in zip(upto_warm, -given.saved(1, upto_warm) + bought(upto_warm)[0], strict=True):
        extra = choice - states
        total = np.where((extra >= 0) & given.standby, usd + given.warm_price * np.maximum(extra, 0), np.inf)
        seconds, second_usd = np.where(total < second_usd, choice, seconds), np.minimum(total, second_usd)
    stage = given.hot_price * states - given.saved(0, states) + second_usd
    path = _shortest(stage, states, given)
    hot, second = (np.take_along_axis(a, path[None], axis=0)[0] for a in (states, seconds))
    return hot, second - hot, bought(second)[1]


def _bought(given: PathInput, choices: FloatArray, saved: FloatArray, base: FloatArray) -> tuple[FloatArray, FloatArray]:
    """USD that buying adds to `base` machines at best (never above 0 but for what `base` itself covers), and how many to buy.

    It is up to one of the `choices` (3, m, T), which save `saved` USD, or as many as can be bought.
    """
    if not (given.cold_most > 0).any():
        return np.zeros(base.shape), np.zeros(base.shape)
    bought, best = np.zeros(base.shape), -given.saved(2, base)
    most = np.floor(given.cold_most)
    for choice, worth in zip(choices, saved, strict=True):
        extra = choice - base
        usd = np.where((extra > 0) & (extra <= most), given.cold_price * extra - worth, np.inf)
        bought, best = np.where(usd < best, extra, bought), np.minimum(usd, best)
    scarce = (most > 0) & (base + most < choices[-1])
    if scarce.any():
        usd = np.where(scarce, given.cold_price * most - given.saved(2, base + most), np.inf)
        bought, best = np.where(usd < best, most, bought), np.minimum(usd, best)
    return np.where(given.cold_most > 0, best, 0.0), bought


def _shortest(stage: FloatArray, states: FloatArray, given: PathInput) -> IntArray:
    """(m, T) the state of each block on the cheapest path; `stage` and `states` are (S, m, T)."""
    blocks = stage.shape[2]
    came_from = np.zeros(stage.shape, dtype=np.int64)
    cost = stage[:, :, 0] + _moved(states[:, :, 0] - given.held, given, 0)
    for t in range(1, blocks):
        arrive = cost[:, None] + _moved(states[None, :, :, t] - states[:, None, :, t - 1], given, t)
        came_from[:, :, t] = np.argmin(arrive, axis=0)
        cost = np.min(arrive, axis=0) + stage[:, :, t]
    path = np.zeros(stage.shape[1:], dtype=np.int64)
    path[:, -1] = np.argmin(cost, axis=0)
    every = np.arange(stage.shape[1])
    for t in range(blocks - 1, 0, -1):
        path[:, t - 1] = came_from[path[:, t], every, t]
    return path


def _moved(rise: FloatArray, given: PathInput, block: int) -> FloatArray:
    """USD of starts and stops."""
    result: FloatArray = np.where(rise > 0, given.start_cost[:, block], -given.stop_cost[:, block]) * rise
    return result
