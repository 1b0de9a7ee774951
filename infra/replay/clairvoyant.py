"""The plan that is told the true demand: the same program, prices, lead times and whole machines, without doubt."""

from __future__ import annotations

from typing import Final

import numpy as np

from infra.replay.day_money import day_money
from infra.replay.joint import joint_track
from infra.replay.money_plan import within_budget
from infra.replay.program_steps import step_costs, warm_cover, whole_path
from infra.replay.scene import Array, Scene
from infra.replay.walk import Track
from infra.replay.world import Terms

__all__ = ["foresee"]

# Steps x counts of machines that are held in memory at once, as 8-byte numbers in a handful of arrays.
_MOST_CELLS: Final = 8_000_000


def foresee(scene: Scene, terms: Terms, *, states: Array, held: Array, times: float = 1.0) -> Track:
    """What it would have held: no other plan of whole machines costs less, what is lost counted at the value of service times `times`.

    With a stock or a budget that binds it is so up to rounding.
    """

    def plan(values: float | Array) -> Track:
        return joint_track(scene, terms, held=held, times=values) if terms.shared else _single(scene, terms, states, held, values)

    money = day_money(scene, terms)
    return plan(times) if money is None else within_budget(scene, terms, money, plan, held=held, times=times)


def _single(scene: Scene, terms: Terms, states: Array, held: Array, times: float | Array) -> Track:
    """Every series for itself; `times` is a number, or of shape (T, 1)."""
    count, steps = scene.demand.shape
    at_once = max(1, _MOST_CELLS // (steps * len(states)))
    hot, warm = np.empty((count, steps)), np.empty((count, steps))
    for first in range(0, count, at_once):
        rows = slice(first, first + at_once)
        short = np.maximum(scene.demand[rows][..., None] - states, 0.0)
        cover = warm_cover(short, states, terms, times)
        costs = step_costs(short, cover, states, terms, times)
        hot[rows] = whole_path(costs, states, held[rows], terms)
        warm[rows] = np.maximum(states[cover] - hot[rows], 0.0)
    warm[:, : terms.warm_lead] = np.minimum(warm[:, : terms.warm_lead], np.maximum(held[:, None] - hot[:, : terms.warm_lead], 0.0))
    grown = np.diff(np.concatenate([held[:, None], hot], axis=1), axis=1)
    return Track(hot, warm, np.maximum(grown, 0.0))
