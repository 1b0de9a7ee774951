"""What follows the forecast: the optimal plan, each step's critical quantile, and the tiered rule."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, sqrt
from typing import Final

import numpy as np

from headroom.settings_services import Policy
from headroom.vocabulary import QUANTILES
from infra.replay.forecasts import row_interp
from infra.replay.joint import JointPlan
from infra.replay.policies.reactive import Reactive, machines
from infra.replay.program_steps import expected_usd, first_steps, step_costs, warm_cover
from infra.replay.scene import Array
from infra.replay.walk import Decision, Known
from infra.replay.world import Terms

__all__ = ["Newsvendor", "Optimal", "Tiered", "confidence_of"]

# Steps ahead that a plan looks at: what happens later does not change what is ordered now.
_AHEAD_STEPS: Final = 12
# Share of the time in which standing by costs as much as a boot, for which a standby machine that may be wanted again is kept.
_PATIENCE: Final = 0.5
_HOUR: Final = 1.0
_BISECTIONS: Final = 8


class Optimal:
    """The program, solved anew at every step from the newest forecast; of its plan only what must be decided now is done.

    At steps shorter than an hour the plan is corrected by what was measured: held is the larger of planned and needed now.

    Args:
        value_times: the world's value of service is multiplied by it; larger buys higher quantiles.
    """

    def __init__(self, value_times: float = 1.0) -> None:
        self._times = value_times
        self._fallback = Reactive()
        self._joint = JointPlan()

    def decide(self, known: Known) -> Decision:
        outlook = known.outlook
        if outlook is None or outlook.quantiles.shape[1] <= known.terms.lead:
            return self._fallback.decide(known)
        ahead = min(_AHEAD_STEPS + known.terms.lead, outlook.quantiles.shape[1])
        short = outlook.shortage[:, :ahead]
        times = self._affordable(known, short)
        if known.terms.shared:
            return self._joint.decide(known, ahead, times)
        cover = warm_cover(short, outlook.states, known.terms, times)
        costs = step_costs(short, cover, outlook.states, known.terms, times)
        path = first_steps(costs, outlook.states, known.available, known.arriving, known.terms)
        keep, order = path[:, 0], path[:, known.terms.lead]
        if known.terms.step_hours < _HOUR:
            now = machines(known.past[:, -1])
            keep, order = np.maximum(keep, now), np.maximum(order, now)
        reach = min(known.terms.warm_lead, ahead - 1)
        upto = outlook.states[cover]
        # A standby machine that is wanted again soon is not given up: a new one would have to be booted.
        patience = max(1, ceil(_PATIENCE * known.terms.start / (known.terms.warm * known.terms.step_hours)) if known.terms.warm else ahead)
        standby = upto[:, : max(reach, patience) + 1].max(axis=1) - keep
        # A new one must earn its boot within that time.
        paid = replace(known.terms, warm=known.terms.warm + known.terms.start / (patience * known.terms.step_hours))
        worth = outlook.states[warm_cover(short[:, [reach]], outlook.states, paid, times)[:, 0]]
        return Decision(keep, order, np.maximum(standby, 0.0), np.maximum(worth - order, 0.0), foreseen=True)

    def _affordable(self, known: Known, short: Array) -> float:
        """The value of service, or where the day's money does not reach, the smallest at which it just does not: what is too much is cut from it.

        As in `infra.replay.money_plan`: a dearer dollar. Below that value a plan would leave out machines that are in full use.
        """
        if np.isinf(known.day_usd) or known.outlook is None:
            return self._times
        states, terms, steps = known.outlook.states, known.terms, min(known.day_left, short.shape[1])
        limit = known.day_usd * float(known.money_parts(foreseen=True)[:steps].sum())
        low, high = min(terms.hot / terms.value, self._times), self._times
        if self._usd(short, states, terms, high, steps) <= limit:
            return high
        for _ in range(_BISECTIONS):
            middle = sqrt(low * high)
            fits = self._usd(short, states, terms, middle, steps) <= limit
            low, high = (middle, high) if fits else (low, middle)
        return high

    def _usd(self, short: Array, states: Array, terms: Terms, times: float, steps: int) -> float:
        return expected_usd(short, warm_cover(short, states, terms, times), states, terms, times, steps)


class Newsvendor:
    """Every step for itself: hot machines up to the quantile at which one more costs what it saves; no standby, starts are free.

    Args:
        value_times: as for `Optimal`.
    """

    def __init__(self, value_times: float = 1.0) -> None:
        self._times = value_times
        self._fallback = Reactive()

    def decide(self, known: Known) -> Decision:
        outlook, terms = known.outlook, known.terms
        if outlook is None or outlook.quantiles.shape[1] <= terms.lead:
            return self._fallback.decide(known)
        gain = -np.diff(outlook.shortage[:, : terms.lead + 1], axis=2) / np.diff(outlook.states)
        lost = terms.value * self._times * terms.cold_loss + terms.cold * float(terms.cold_loss < 1)
        wanted = outlook.states[(gain * lost > terms.hot).sum(axis=2)]
        return Decision(wanted[:, 0], wanted[:, terms.lead], foreseen=True)


class Tiered:
    """The rule of `infra.policies.tiered` for machines, with the defaults of the settings: the surer the forecast, the more of the need is hot.

    Args:
        quantile: of demand that is covered, one of `headroom.vocabulary`.
        minimum: machines hot in any case.
    """

    def __init__(self, quantile: float = 0.9, minimum: int = 1) -> None:
        self._settings = Policy(quantile=quantile)
        self._minimum = minimum
        self._fallback = Reactive()

    def decide(self, known: Known) -> Decision:
        if known.outlook is None or known.outlook.quantiles.shape[1] <= known.terms.lead:
            return self._fallback.decide(known)
        told = known.outlook.quantiles[:, [0, known.terms.lead]]
        needed = np.maximum(machines(told[..., _place(self._settings.quantile)]), self._minimum)
        confidence = confidence_of(told, self._settings.tolerance)
        share = np.maximum(machines(self._settings.medium_share * needed), self._minimum)
        tiers = [confidence > self._settings.high_confidence, confidence > self._settings.medium_confidence]
        hot = np.select(tiers, [needed, share], np.full_like(needed, self._minimum))
        warm = needed - hot
        return Decision(hot[:, 0], hot[:, 1], warm.max(axis=1), warm[:, 1], foreseen=True)


def confidence_of(told: Array, tolerance: float) -> Array:
    """Chance that demand is within `tolerance` of the median, by straight lines between quantiles; shape of `told` without its last axis."""
    flat = told.reshape(-1, told.shape[-1])
    middle = flat[:, [_place(0.5)]]
    levels = np.broadcast_to(np.array(QUANTILES), flat.shape)
    reached = middle * np.array([[1 - tolerance, 1 + tolerance]])
    chance = row_interp(reached, flat, levels)
    chance = np.where(reached < flat[:, :1], 0.0, np.where(reached > flat[:, -1:], 1.0, chance))
    return np.asarray(chance[:, 1] - chance[:, 0]).reshape(told.shape[:-1])


def _place(level: float) -> int:
    return int(np.abs(np.array(QUANTILES) - level).argmin())
