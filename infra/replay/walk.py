"""Walking the clock: at every step each policy decides from what is known then, orders arrive when their lead time is over, demand happens."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from headroom.progress import Progress, SilentProgress
from infra.replay.accounting import settle
from infra.replay.forecasts import Issued, shortage
from infra.replay.scene import Array, Scene
from infra.replay.world import Terms

__all__ = ["Decision", "Known", "Outlook", "ReplayPolicy", "Track", "walk", "within"]

Key = TypeVar("Key", bound=Hashable)


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
        spent_usd: what the policy has held since the day's first step cost; days are counted from the walk's first step.
    """

    at: int
    day: int
    past: Array
    outlook: Outlook | None
    available: Array
    standby: Array
    arriving: Array
    terms: Terms
    spent_usd: float = 0.0


@dataclass(frozen=True, eq=False)
class Decision:
    """Whole machines, each of shape (S,).

    Attributes:
        keep: hot in this step; what is there beyond it is suspended while `warm` asks for it, and released.
        ahead: hot in the step that an order of now reaches.
        warm: standby at most in this step; None: none, which is also what a world without standby makes of it.
        warm_ahead: standby in the step that an order of now reaches; the same.
    """

    keep: Array
    ahead: Array
    warm: Array | None = None
    warm_ahead: Array | None = None


class ReplayPolicy(Protocol):
    """Decides for all series at once, from what `Known` says."""

    def decide(self, known: Known) -> Decision: ...


@dataclass(eq=False)
class Track:
    """What a policy held, and the machines that were booted for it, which pay for their start; shape (S, T) each.

    Booted are the machines of orders that came in, kept or not, standby or hot, and those that the hot ones grew by otherwise.
    """

    hot: Array
    warm: Array
    booted: Array


@dataclass(eq=False)
class _State:
    """What one policy has and has ordered."""

    hot: Array
    warm: Array
    back: Array
    orders: Array
    warm_orders: Array
    track: Track = field(repr=False)


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
    running = {key: _begin(count, steps, held, terms) for key in policies}
    for at in range(steps):
        outlook = _outlook(forecasts, at, states)
        out = None if stock_out is None else stock_out[:, at].astype(float)
        for key, policy in policies.items():
            _step(policy, running[key], _Moment(at, scene.day, every[:, : past + at], outlook, scene.demand[:, at], out), terms)
        told.advance(1)
    return {key: state.track for key, state in running.items()}


@dataclass(frozen=True, eq=False)
class _Moment:
    at: int
    day: int
    past: Array
    outlook: Outlook | None
    demand: Array
    stock_out: Array | None


def _begin(count: int, steps: int, held: Array, terms: Terms) -> _State:
    track = Track(np.zeros((count, steps)), np.zeros((count, steps)), np.zeros((count, steps)))
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
    known = Known(
        moment.at, moment.day, moment.past, moment.outlook, available, standby, arriving, terms, _spent(state.track, moment, terms)
    )
    decision = policy.decide(known)
    hot = within(np.minimum(available, np.maximum(decision.keep, terms.minimum)), terms.stock)
    zero = np.zeros_like(hot)
    wanted, wanted_ahead = ((told if told is not None and terms.standby else zero) for told in (decision.warm, decision.warm_ahead))
    warm = np.minimum(standby + (available - hot), wanted)
    warm = within(warm, terms.stock - hot.sum())
    arriving[-1] = np.maximum(np.maximum(decision.ahead, terms.minimum) - hot - arriving.sum(axis=0), 0.0)
    arriving[-1] = within(arriving[-1], terms.stock - hot.sum() - warm.sum() - arriving[:-1].sum() - warm_arriving.sum())
    warm_arriving[-1] = np.maximum(wanted_ahead - warm - warm_arriving.sum(axis=0), 0.0)
    warm_arriving[-1] = within(warm_arriving[-1], terms.stock - hot.sum() - warm.sum() - arriving.sum() - warm_arriving[:-1].sum())
    used = settle(moment.demand, hot, warm, terms, moment.stock_out)
    resumed = np.ceil(used.resumed - 1e-9)
    state.track.booted[:, moment.at] = np.maximum(came, hot - state.hot) + warm_came
    state.hot, state.back = hot, resumed + np.ceil(used.bought - 1e-9)
    state.warm = np.maximum(warm - resumed, 0.0)
    state.orders, state.warm_orders = arriving, warm_arriving
    state.track.hot[:, moment.at], state.track.warm[:, moment.at] = hot, warm


def _spent(track: Track, moment: _Moment, terms: Terms) -> float:
    today = slice(moment.at - moment.at % moment.day, moment.at)
    return float((terms.hot * track.hot[:, today] + terms.warm * track.warm[:, today]).sum() * terms.step_hours)


def within(machines: Array, room: float) -> Array:
    """Machines, or where they are more than the stock has room for, as large a part of each, in whole machines."""
    total = machines.sum()
    return machines if total <= max(room, 0.0) else np.floor(machines * max(room, 0.0) / total + 1e-9)
