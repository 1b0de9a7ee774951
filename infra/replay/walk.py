"""Walking the clock: at every step each policy decides from what is known then, orders arrive when their lead time is over, demand happens."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from headroom.progress import Progress, SilentProgress
from headroom.vocabulary import QUANTILES
from infra.replay.accounting import settle
from infra.replay.day_money import DayMoney, day_money, steps_left
from infra.replay.forecasts import Issued, shortage
from infra.replay.scene import Array, Scene
from infra.replay.world import Terms

__all__ = ["Decision", "Known", "Outlook", "ReplayPolicy", "Track", "walk", "within"]

Key = TypeVar("Key", bound=Hashable)
_MEDIAN: Final = QUANTILES.index(0.5)


@dataclass(frozen=True, eq=False)
class Outlook:
    """The newest forecast, from the present step on; shared by all policies of a step.

    Attributes:
        quantiles: shape (S, n, Q), machines.
        states: shape (N,), machine counts that a plan may choose from.
    """

    quantiles: Array
    states: Array

    @cached_property
    def shortage(self) -> Array:
        """Shape (S, n, N): expected demand above each count of machines."""
        return shortage(self.quantiles, self.states)


@dataclass(frozen=True, eq=False)
class Known:
    """What a policy sees at the start of a step; nothing of the step itself.

    Attributes:
        at: the step's number, from 0.
        day: steps in a day.
        past: shape (S, H + at), machines that were needed, up to the step before.
        outlook: the newest forecast; None when there is none.
        available: shape (S,), hot machines that are there now.
        standby: shape (S,), standby machines that are there now.
        arriving: shape (lead, S), hot machines that come with each of the next steps.
        terms: prices and lead times.
        day_left: steps of the UTC day from this one on.
        day_usd: what these may cost by the budget, beside boots that were ordered.
    """

    at: int
    day: int
    past: Array
    outlook: Outlook | None
    available: Array
    standby: Array
    arriving: Array
    terms: Terms
    day_left: int = 1
    day_usd: float = np.inf

    def money_parts(self, *, foreseen: bool) -> Array:
        """Shape (steps of the UTC day from this one on,): parts of what is left of the day's money, as demand is expected.

        Args:
            foreseen: whether the forecast's medians say what is expected, where there are any; else the same time of the day before does.
        """
        width, steps = self.past.shape[1], self.day_left
        places = width - self.day + np.arange(steps) if width >= self.day else np.full(steps, width - 1)
        expected = self.past[:, places]
        if foreseen and self.outlook is not None:
            medians = self.outlook.quantiles[:, :steps, _MEDIAN]
            expected = np.concatenate([medians, expected[:, medians.shape[1] :]], axis=1)
        needed = np.maximum(expected, self.terms.minimum).sum(axis=0)
        return needed / needed.sum() if needed.sum() > 0 else np.full(steps, 1 / steps)


@dataclass(frozen=True, eq=False)
class Decision:
    """Whole machines, each of shape (S,).

    Attributes:
        keep: hot in this step; what is there beyond it is suspended while `warm` asks for it, and released.
        ahead: hot in the step that an order of now reaches.
        warm: standby at most in this step; None: none, which is also what a world without standby makes of it.
        warm_ahead: standby in the step that an order of now reaches; the same.
        foreseen: whether the day's money is spread by the forecast's medians; else as demand was the day before. Only a world with a budget asks.
    """

    keep: Array
    ahead: Array
    warm: Array | None = None
    warm_ahead: Array | None = None
    foreseen: bool = False


class ReplayPolicy(Protocol):
    """Decides for all series at once, from what `Known` says."""

    def decide(self, known: Known) -> Decision: ...


@dataclass(eq=False)
class Track:
    """What a policy held, and the machines that were booted for it, which pay for their start; shape (S, T) each.

    Booted are the machines of orders that came in, kept or not, standby or hot, and those that the hot ones grew by otherwise.

    Attributes:
        use_usd: shape (T,), USD that resuming and buying may cost in each step; None without a budget.
    """

    hot: Array
    warm: Array
    booted: Array
    use_usd: Array | None = None


@dataclass(eq=False)
class _State:
    """What one policy has and has ordered."""

    hot: Array
    warm: Array
    back: Array
    orders: Array
    warm_orders: Array
    track: Track = field(repr=False)
    spent_usd: float = 0.0


def walk(
    scene: Scene,
    terms: Terms,
    forecasts: Issued | None,
    policies: Mapping[Key, ReplayPolicy],
    *,
    states: Array,
    held: Array,
    stock_out: npt.NDArray[np.bool_] | None = None,
    listener: Progress | None = None,
) -> dict[Key, Track]:
    """What every policy held at every step, by the key it was handed in with.

    Machines that were resumed or bought in a step run on into the next, where the policy may keep them. In a stock-out no order is filled.
    No UTC day costs more than the budget (`infra.replay.day_money`).

    Args:
        states: shape (N,), counts of machines that plans choose from.
        held: shape (S,), hot machines at the start.
        stock_out: shape (S, T); None without any.
    """
    told = listener or SilentProgress()
    count, steps = scene.demand.shape
    told.start(steps, "replay")
    every = scene.before(steps)
    past = scene.history.shape[1]
    money, left = day_money(scene, terms), steps_left(scene.times)
    running = {key: _begin(count, steps, held, terms) for key in policies}
    for at in range(steps):
        outlook = _outlook(forecasts, at, states)
        out = None if stock_out is None else stock_out[:, at].astype(float)
        moment = _Moment(at, scene.day, int(left[at]), every[:, : past + at], outlook, scene.demand[:, at], out, money)
        for key, policy in policies.items():
            _step(policy, running[key], moment, terms)
        told.advance(1)
    return {key: state.track for key, state in running.items()}


@dataclass(frozen=True, eq=False)
class _Moment:
    at: int
    day: int
    day_left: int
    past: Array
    outlook: Outlook | None
    demand: Array
    stock_out: Array | None
    money: DayMoney | None


def _begin(count: int, steps: int, held: Array, terms: Terms) -> _State:
    use = np.zeros(steps) if np.isfinite(terms.budget) else None
    track = Track(np.zeros((count, steps)), np.zeros((count, steps)), np.zeros((count, steps)), use)
    zero = np.zeros(count)
    return _State(held.copy(), zero, zero, np.zeros((terms.lead, count)), np.zeros((terms.warm_lead, count)), track)


def _outlook(forecasts: Issued | None, at: int, states: Array) -> Outlook | None:
    quantiles = None if forecasts is None else forecasts.newest(at)
    return None if quantiles is None else Outlook(quantiles, states)


def _step(policy: ReplayPolicy, state: _State, moment: _Moment, terms: Terms) -> None:
    """Arrivals, decision, demand."""
    there = 1.0 if moment.stock_out is None else 1.0 - moment.stock_out
    came, warm_came = state.orders[0] * there, state.warm_orders[0] * there
    available, standby = state.hot + state.back + came, state.warm + warm_came
    arriving = np.concatenate([state.orders[1:], np.zeros_like(state.orders[:1])])
    warm_arriving = np.concatenate([state.warm_orders[1:], np.zeros_like(state.warm_orders[:1])])
    ordered = arriving.sum() + warm_arriving.sum()
    usd = np.inf if moment.money is None else moment.money.rest(moment.at, state.spent_usd, ordered + came.sum() + warm_came.sum())
    known = Known(moment.at, moment.day, moment.past, moment.outlook, available, standby, arriving, terms, moment.day_left, usd)
    decision = policy.decide(known)
    usd, usd_ahead = _allowed(known, decision, moment.money)
    hot = _hot(decision, available, state.hot + came, usd, terms)
    usd -= terms.hot * terms.step_hours * hot.sum() + terms.start * np.maximum(hot - state.hot - came, 0.0).sum()
    zero = np.zeros_like(hot)
    wanted, wanted_ahead = ((told if told is not None and terms.standby else zero) for told in (decision.warm, decision.warm_ahead))
    warm = np.minimum(standby + (available - hot), wanted)
    warm = within(warm, min(terms.stock - hot.sum(), _affordable(usd, terms.warm * terms.step_hours)))
    usd -= terms.warm * terms.step_hours * warm.sum()
    boots = np.inf if moment.money is None else moment.money.boots(moment.at + terms.lead, usd, ordered)
    ahead = _held(np.maximum(decision.ahead, terms.minimum), usd_ahead, terms)
    arriving[-1] = np.maximum(ahead - hot - arriving.sum(axis=0), 0.0)
    room = terms.stock - hot.sum() - warm.sum() - ordered
    arriving[-1] = within(arriving[-1], min(room, boots))
    new = arriving[-1].sum()
    warm_arriving[-1] = np.maximum(wanted_ahead - warm - warm_arriving.sum(axis=0), 0.0)
    warm_arriving[-1] = within(warm_arriving[-1], min(room, boots) - new)
    usd -= terms.start * (new + warm_arriving[-1].sum())
    used = settle(moment.demand, hot, warm, terms, moment.stock_out, usd)
    resumed = np.ceil(used.resumed - 1e-9)
    state.track.booted[:, moment.at] = np.maximum(came, hot - state.hot) + warm_came
    state.hot, state.back = hot, resumed + np.ceil(used.bought - 1e-9)
    state.warm = np.maximum(warm - resumed, 0.0)
    state.orders, state.warm_orders = arriving, warm_arriving
    state.track.hot[:, moment.at], state.track.warm[:, moment.at] = hot, warm
    _pay(state, moment, usd, used.cost.sum() + terms.start * state.track.booted[:, moment.at].sum())


def _allowed(known: Known, decision: Decision, money: DayMoney | None) -> tuple[float, float]:
    """USD that this step, and the one that an order of now reaches, may cost beside their boots; inf without a budget."""
    if money is None:
        return np.inf, np.inf
    return money.for_steps(known.at, known.terms.lead, known.day_usd, known.money_parts(foreseen=decision.foreseen))


def _hot(decision: Decision, available: Array, running: Array, usd: float, terms: Terms) -> Array:
    """Hot machines that stock and money have room for; what was resumed or bought pays its start to run on."""
    wanted = within(np.minimum(available, np.maximum(decision.keep, terms.minimum)), terms.stock)
    kept = _held(np.minimum(wanted, running), usd, terms)
    price = terms.hot * terms.step_hours
    more = within(wanted - np.minimum(wanted, running), _affordable(usd - price * kept.sum(), price + terms.start))
    return kept + more


def _held(machines: Array, usd: float, terms: Terms) -> Array:
    """Hot machines that a step's money has room for, those of the minimum first."""
    least = np.minimum(machines, terms.minimum)
    return least + within(machines - least, _affordable(usd, terms.hot * terms.step_hours) - least.sum())


def _affordable(usd: float, price: float) -> float:
    return float(usd) / float(price) if price > 0 else np.inf


def _pay(state: _State, moment: _Moment, use_usd: float, cost: float) -> None:
    """Book a step: tomorrow begins anew."""
    if state.track.use_usd is not None:
        state.track.use_usd[moment.at] = use_usd
    state.spent_usd = state.spent_usd + cost if moment.day_left > 1 else 0.0


def within(machines: Array, room: float) -> Array:
    """Machines, or where they are more than there is room for, as large a part of each, in whole machines, the largest fractions rounded up."""
    total = machines.sum()
    if total <= max(room, 0.0):
        return machines
    parts = machines * max(room, 0.0) / total
    whole: Array = np.floor(parts + 1e-9)
    spare = int(max(room, 0.0) - whole.sum() + 1e-9)
    whole[np.argsort(whole - parts, kind="stable")[:spare]] += 1
    return whole
