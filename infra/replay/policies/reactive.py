"""What follows the load that was measured: target tracking, alone and beside a predicted pattern; and what holds the peak."""

from __future__ import annotations

from typing import Final

import numpy as np

from infra.replay.scene import Array
from infra.replay.walk import Decision, Known

__all__ = ["Aws", "Google", "Reactive", "Static"]

_STABLE_MINUTES: Final = 10.0
_GOOGLE_DAYS: Final = 3
_GOOGLE_WEEKS: Final = 3
_AWS_REFRESH_HOURS: Final = 6
_AWS_AHEAD_HOURS: Final = 48
_AWS_DAYS: Final = 14
_SAME_WEEKDAY: Final = 0.5


class Reactive:
    """Target tracking, as a horizontal autoscaler or a managed instance group does it.

    Wants the machines at which the load last measured is `target` of what they serve. It goes up at once (the lead time is the delay) and down
    only to the most that it wanted in the last 10 minutes, the stabilisation of a managed instance group; at hourly steps that is the last hour.

    Source: the documentation of autoscaling of managed instance groups and of Kubernetes' horizontal pod autoscaler.
    """

    def __init__(self, target: float = 0.8) -> None:
        self._target = target

    def decide(self, known: Known) -> Decision:
        wanted = self.wanted(known)
        return Decision(wanted, wanted)

    def wanted(self, known: Known) -> Array:
        """Machines, of what was measured."""
        window = max(1, round(_STABLE_MINUTES / 60 / known.terms.step_hours))
        return machines(known.past[:, -window:].max(axis=1) / self._target)


class Static:
    """Holds the peak of the history known at the start, times `margin`, and nothing else."""

    def __init__(self, margin: float = 1.0) -> None:
        self._margin = margin
        self._peak: Array | None = None

    def decide(self, known: Known) -> Decision:
        if self._peak is None:
            self._peak = machines(known.past.max(axis=1) * self._margin)
        return Decision(self._peak, self._peak)


class Google:
    """The larger of target tracking and of what a daily and weekly pattern predicts for the step that an order reaches.

    The pattern is the mean of the same time of the last 3 days, averaged with the mean of the same time of the week in up to 3 weeks where the
    history has one; as a load, it is held at the same target.

    Source: the documentation of predictive autoscaling of managed instance groups (at least 3 days of history, daily and weekly patterns, the
    larger of predicted and present load). The forecast itself is not published; this one stands for it.
    """

    def __init__(self, target: float = 0.8) -> None:
        self._target = target
        self._reactive = Reactive(target)

    def decide(self, known: Known) -> Decision:
        now = self._reactive.wanted(known)
        keep, ahead = (np.maximum(now, machines(self._pattern(known, steps) / self._target)) for steps in (0, known.terms.lead))
        return Decision(keep, ahead)

    def _pattern(self, known: Known, ahead: int) -> Array:
        daily = mean_before(known.past, ahead, known.day, _GOOGLE_DAYS)
        weekly = mean_before(known.past, ahead, 7 * known.day, _GOOGLE_WEEKS)
        return (daily + weekly) / 2


class Aws:
    """Target tracking beside an hourly forecast of 48 hours, made anew every 6 hours, that only ever raises.

    An hour's forecast is the mean of the same hour of 14 days, in which the days of the same weekday weigh half, times the level of the last day over
    what this rule would have said of that day.

    Source: the documentation of predictive scaling for EC2 Auto Scaling (48 hours ahead, refreshed every 6 hours, 14 days of history, scales out
    only; scaling in is left to target tracking). The forecast itself is not published; this one stands for it.
    """

    def __init__(self, target: float = 0.8) -> None:
        self._target = target
        self._reactive = Reactive(target)
        self._forecast: Array | None = None
        self._made = 0

    def decide(self, known: Known) -> Decision:
        hour = max(1, round(1 / known.terms.step_hours))
        if self._forecast is None or known.at - self._made >= _AWS_REFRESH_HOURS * hour:
            self._forecast, self._made = self._predicted(known, hour), known.at
        now, since = self._reactive.wanted(known), known.at - self._made
        keep, ahead = (np.maximum(now, machines(self._forecast[:, since + steps] / self._target)) for steps in (0, known.terms.lead))
        return Decision(keep, ahead)

    def _predicted(self, known: Known, hour: int) -> Array:
        """Shape (S, 48 hours of steps): every step of an hour says the highest of the hour's."""
        steps = _AWS_AHEAD_HOURS * hour
        if known.past.shape[1] < 2 * known.day:
            return np.repeat(known.past[:, -1:], steps, axis=1)
        said = np.stack([self._mean(known.past, ahead, known.day) for ahead in range(known.day)], axis=1)
        level = known.past[:, -known.day :].mean(axis=1) / np.maximum(said.mean(axis=1), 1e-9)
        two_days = np.concatenate(
            [said, np.stack([self._mean(known.past, known.day + a, known.day) for a in range(known.day)], axis=1)], axis=1
        )
        hourly = two_days[:, :steps].reshape(len(said), -1, hour).max(axis=2)
        scaled: Array = np.repeat(hourly, hour, axis=1) * np.clip(level, 0.5, 2.0)[:, None]
        return scaled

    def _mean(self, past: Array, ahead: int, day: int) -> Array:
        daily, weekly = mean_before(past, ahead, day, _AWS_DAYS), mean_before(past, ahead, 7 * day, _AWS_DAYS // 7)
        return (1 - _SAME_WEEKDAY) * daily + _SAME_WEEKDAY * weekly


def machines(load: Array) -> Array:
    """Whole machines for a load, forgiving what is not a load but rounding."""
    return np.ceil(load - 1e-9)


def mean_before(past: Array, ahead: int, period: int, most: int) -> Array:
    """Shape (S,): mean of the up to `most` last measurements that lie whole periods before the step `ahead` of the present.

    Without any, those that lie days before; without these, the last one.
    """
    width = past.shape[1]
    for each in (period, period // 7 if period % 7 == 0 else period):
        places = width + ahead - each * np.arange(1, most + 2 + ahead // each)
        places = places[(places >= 0) & (places < width)][:most]
        if len(places):
            return np.asarray(past[:, places].mean(axis=1))
    return past[:, -1]
