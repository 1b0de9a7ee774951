"""The program for series that share no limit, in whole machines, exactly: dynamic programming over counts of machines, all series at once.

Without a limit between series the program of `infra.program` falls apart into one problem per series,

    min over x_t in whole machines  sum_t  h x_t + min_w [ w_price w + L_t(x_t, w) ] + s max(0, x_t - x_{t-1}),

with h the hot price, s the cost of a start and L_t the expected loss and use of what x_t does not serve. With f_t(c) the expected demand
above a capacity c (`infra.replay.forecasts.shortage`), value v, lost shares e_w and e_c, and prices of use u_w and u_c,

    L_t(x, w) = (v e_w + u_w) (f_t(x) - f_t(x + w)) + (v e_c + u_c) f_t(x + w).

where machines are bought for what is left, as the replay does (the program would not where v (1 - e_c) < u_c, nor is it done here where a
budget limits what is bought). With a budget v is the value over the price of the day's money (`infra.replay.money_plan`), step by step. The standby that is best
covers up to the same count z_t whatever x_t is: as long as one more machine saves more than it costs,
(v e_c + u_c - v e_w - u_w) (f_t(z) - f_t(z + 1)) > w_price. The rest is one variable per step with a start cost in between, solved backwards
over the counts 0..N: V_t(p) = min_x [c_t(x) + V_{t+1}(x) + s max(0, x - p)] takes two running minima per step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from infra.replay.scene import Array
from infra.replay.world import Terms

__all__ = ["expected_usd", "first_steps", "step_costs", "warm_cover", "whole_path"]

Counts = npt.NDArray[np.int64]


def warm_cover(short: Array, states: Array, terms: Terms, times: float | Array = 1.0) -> Counts:
    """Shape (S, n): place in `states` of the count up to which hot and warm together are worth it; 0 where nothing can stand by."""
    if not terms.standby:
        return np.zeros(short.shape[:2], dtype=np.int64)
    gain = -np.diff(short, axis=2) / np.diff(states)
    return np.asarray((gain * (_cold_use(terms, times) - _warm_use(terms, times)) > terms.warm).sum(axis=2))


def step_costs(short: Array, cover: Counts, states: Array, terms: Terms, times: float | Array = 1.0) -> Array:
    """Shape (S, n, N): USD per hour of every count of hot machines, the best standby beside."""
    warm_use, cold_use = _warm_use(terms, times), _cold_use(terms, times)
    top = states[cover][..., None]
    above = np.minimum(short, np.take_along_axis(short, cover[..., None], axis=2))
    standby = np.maximum(top - states, 0.0)
    costs = terms.hot * states + terms.warm * standby + warm_use * (short - above) + cold_use * above
    return np.where(states >= terms.minimum, costs, np.inf)


def expected_usd(short: Array, cover: Counts, states: Array, terms: Terms, times: float, steps: int) -> float:
    """What the first `steps` are expected to cost together, each with the count of hot machines that is best in it, starts left out."""
    costs = step_costs(short, cover, states, terms, times)[:, :steps]
    best = costs.argmin(axis=2)[..., None]
    hot = states[best]
    standby = np.maximum(states[cover[:, :steps]][..., None] - hot, 0.0)
    missing = np.take_along_axis(short[:, :steps], best, axis=2)
    above = np.minimum(missing, np.take_along_axis(short[:, :steps], cover[:, :steps, None], axis=2))
    resumed, bought = (
        terms.value * times * (1 - loss) >= price for loss, price in ((terms.warm_loss, terms.hot), (terms.cold_loss, terms.cold))
    )
    usd = terms.hot * hot + terms.warm * standby + terms.hot * resumed * (missing - above) + terms.cold * bought * above
    return float(usd.sum() * terms.step_hours)


def first_steps(costs: Array, states: Array, available: Array, arriving: Array, terms: Terms) -> Array:
    """Shape (S, lead + 1): machines hot in this step and until an order of now is there.

    Args:
        costs: shape (S, n, N), USD per hour.
        available: shape (S,), hot machines that are there.
        arriving: shape (lead, S), those that come with each of the next steps.
    """
    start = terms.start / terms.step_hours
    after = [np.zeros_like(costs[:, 0])]
    for step in range(costs.shape[1] - 1, 0, -1):
        after.append(_before(costs[:, step] + after[-1], states, start))
    there, chosen = available, []
    for step in range(terms.lead + 1):
        total = costs[:, step] + after[-1 - step]
        if step == terms.lead:
            chosen.append(states[np.argmin(total + start * np.maximum(states - there[:, None], 0.0), axis=1)])
            break
        total = np.where(states <= np.maximum(there, terms.minimum)[:, None], total, np.inf)
        chosen.append(np.minimum(states[np.argmin(total, axis=1)], there))
        there = chosen[-1] + arriving[step]
    return np.stack(chosen, axis=1)


def whole_path(costs: Array, states: Array, held: Array, terms: Terms) -> Array:
    """Shape (S, T): the cheapest path of hot machines, which in the first `lead` steps are at most those held."""
    start = terms.start / terms.step_hours
    steps = costs.shape[1]
    for step in range(min(terms.lead, steps)):
        beyond = states > np.maximum(held, terms.minimum)[:, None]
        costs[:, step][beyond] = np.inf
    after = np.zeros_like(costs)
    for step in range(steps - 2, -1, -1):
        after[:, step] = _before(costs[:, step + 1] + after[:, step + 1], states, start)
    path, before = np.empty(costs.shape[:2]), held
    for step in range(steps):
        total = costs[:, step] + after[:, step] + start * np.maximum(states - before[:, None], 0.0)
        before = states[np.argmin(total, axis=1)]
        path[:, step] = before
    return path


def _before(total: Array, states: Array, start: float) -> Array:
    """Cost of arriving in a step with every count, of the cost of every count in it: fewer or as many cost nothing, more cost their starts."""
    fewer = np.minimum.accumulate(total, axis=1)
    more = np.minimum.accumulate((total + start * states)[:, ::-1], axis=1)[:, ::-1] - start * states
    return np.minimum(fewer, more)


def _warm_use(terms: Terms, times: float | Array) -> float | Array:
    return _worth(terms, times, terms.warm_loss, terms.hot)


def _cold_use(terms: Terms, times: float | Array) -> float | Array:
    return _worth(terms, times, terms.cold_loss, terms.cold)


def _worth(terms: Terms, times: float | Array, loss: float, price: float) -> float | Array:
    """USD that a machine-hour of demand costs and loses which is served late; with a budget nobody need buy what it is not worth."""
    value = terms.value * times
    served = value * loss + price * float(loss < 1)
    return served if np.isinf(terms.budget) else np.minimum(served, value)
