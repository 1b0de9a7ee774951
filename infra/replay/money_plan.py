"""A plan that knows the demand, within a budget per UTC day: what a dollar brings is made dearer until every day can pay.

With a price m of a day's money above its face, a plan that minimises (1 + m) cost + value of what is unserved is the plan without a budget at the
value v / (1 + m) (Everett, 1963). So each day has a value of its own, found by bisection between the world's and that at which a machine in
full use only just pays. Machines in full use are all worth the same, so at one value a day's cost jumps; in between lies a part of the step
from the plan below to the plan above, and the part is found by bisection too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from infra.replay.accounting import settle
from infra.replay.day_money import DayMoney
from infra.replay.scene import Array, Scene
from infra.replay.walk import Track
from infra.replay.world import Terms

__all__ = ["within_budget"]

_VALUES: Final = 14
_PARTS: Final = 24
_MENDED: Final = 10
_LESS: Final = 0.7
# Just below the value at which a machine in full use pays: nobody holds more than the minimum.
_BELOW: Final = 0.999
_GOLDEN: Final = 0.6180339887498949


def within_budget(
    scene: Scene, terms: Terms, money: DayMoney, plan: Callable[[float | Array], Track], *, held: Array, times: float = 1.0
) -> Track:
    """The track of `plan(times)` where no day of it is above the budget; else one that is dearer nowhere.

    Args:
        plan: what is held at a value of service, in multiples of the world's: a number, or of shape (T, 1).
    """
    days = int(money.day[-1]) + 1
    limit = money.usd[np.searchsorted(money.day, np.arange(days))]
    upper = np.full(days, times)
    above = _with_use(scene, terms, plan(times), upper[money.day])
    fits = _day_usd(scene, terms, money, above) <= limit
    if fits.all():
        return above
    least = min(_BELOW * terms.hot / terms.value, times)
    lower = np.where(fits, times, least)
    for _ in range(_VALUES):
        middle = np.sqrt(lower * upper)
        found = _with_use(scene, terms, plan(middle[money.day, None]), middle[money.day])
        fits = _day_usd(scene, terms, money, found) <= limit
        lower, upper = np.where(fits, middle, lower), np.where(fits, upper, middle)
    below, above = (_with_use(scene, terms, plan(value[money.day, None]), value[money.day]) for value in (lower, upper))
    # A day that fitted may not do so any more once its neighbours hold less: what it keeps for them overnight has changed.
    for _ in range(_MENDED):
        fits = _day_usd(scene, terms, money, below) <= limit
        if fits.all():
            break
        lower = np.where(fits, lower, np.sqrt(lower * least))
        below = _with_use(scene, terms, plan(lower[money.day, None]), lower[money.day])
    return _mixed(scene, terms, money, below, above, held=held, limit=limit)


def _mixed(scene: Scene, terms: Terms, money: DayMoney, below: Track, above: Track, *, held: Array, limit: Array) -> Track:
    """As large a part of each day's step from one plan to the other as the day can pay."""
    # Parts of a machine become some series and hours with it and others without, the hours of a series one after the other.
    turn = (np.arange(len(scene.series))[:, None] * _GOLDEN + 1 - money.left / (money.steps + 1)) % 1.0
    low, high = np.zeros(len(limit)), np.ones(len(limit))
    for _ in range(_PARTS):
        middle = (low + high) / 2
        fits = _day_usd(scene, terms, money, _between(below, above, middle[money.day], turn, held)) <= limit
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    for _ in range(_MENDED):
        fits = _day_usd(scene, terms, money, _between(below, above, low[money.day], turn, held)) <= limit
        low = np.where(fits, low, _LESS * low)
    return _bought(scene, terms, money, _between(below, above, low[money.day], turn, held), limit)


def _bought(scene: Scene, terms: Terms, money: DayMoney, track: Track, limit: Array) -> Track:
    """The track, which buys with what a day's whole machines leave of its money."""
    step = settle(scene.demand, track.hot, track.warm, terms)
    every = (step.resumed * terms.hot + step.bought * terms.cold).sum(axis=0) * terms.step_hours
    more = np.maximum(every - _use(track), 0.0)
    room = limit - _day_usd(scene, terms, money, track)
    part = np.clip(room / np.maximum(np.bincount(money.day, weights=more), 1e-12), 0.0, 1.0)
    return replace(track, use_usd=_use(track) + part[money.day] * more)


def _between(below: Track, above: Track, part: Array, turn: Array, held: Array) -> Track:
    hot, warm = (one + np.floor(part * (other - one) + turn) for one, other in ((below.hot, above.hot), (below.warm, above.warm)))
    grown = np.diff(np.concatenate([held[:, None], hot], axis=1), axis=1)
    use = (1 - part) * _use(below) + part * _use(above)
    return Track(hot, warm, np.maximum(grown, 0.0), use)


def _use(track: Track) -> Array:
    return np.zeros(track.hot.shape[1]) if track.use_usd is None else track.use_usd


def _with_use(scene: Scene, terms: Terms, track: Track, times: Array) -> Track:
    """The track with what it resumes and buys where that is worth its price at the value of the step."""
    step, value = settle(scene.demand, track.hot, track.warm, terms), terms.value * times
    resumed = step.resumed.sum(axis=0) * terms.hot * (value * (1 - terms.warm_loss) >= terms.hot)
    bought = step.bought.sum(axis=0) * terms.cold * (value * (1 - terms.cold_loss) >= terms.cold)
    return replace(track, use_usd=(resumed + bought) * terms.step_hours)


def _day_usd(scene: Scene, terms: Terms, money: DayMoney, track: Track) -> Array:
    step = settle(scene.demand, track.hot, track.warm, terms, use_usd=track.use_usd)
    usd = (step.cost + terms.start * track.booted).sum(axis=0)
    return np.asarray(np.bincount(money.day, weights=usd), dtype=float)
