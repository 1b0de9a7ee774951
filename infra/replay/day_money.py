"""The money of a UTC day: what a step may cost so that no day of the replay costs more than the world's budget, whoever decides.

Everything in a policy's cost counts: what is held, resumed, bought and booted. The minimum of all series is paid first, also for the steps of the
day that are still to come, and so are the boots that were ordered. What is then left is spread over the rest of the day as demand is expected:
by the forecast, of a policy that follows forecasts, else as it was the day before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from infra.replay.scene import Array, Scene
from infra.replay.world import Terms

__all__ = ["DayMoney", "day_money", "steps_left"]


@dataclass(frozen=True, eq=False)
class DayMoney:
    """The budget of every replayed step's UTC day; arrays of shape (T,).

    Attributes:
        day: number of the step's UTC day, ascending from 0.
        steps: replayed steps of that day.
        left: of these, those from the step on.
        usd: what the replayed steps of that day may cost; of a day that is replayed in part its part of the budget.
        least: USD per step of the minimum of all series.
        start: USD per boot.
    """

    day: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    usd: Array
    least: float
    start: float

    def rest(self, at: int, spent: float, boots: float) -> float:
        """USD that the day may cost from the step `at` on, beside those boots; at least the minimum of all series.

        Args:
            spent: USD since the day's first step.
            boots: machines that were ordered and have not been paid for, those that come in this step among them.
        """
        return max(float(self.usd[at]) - spent - self.start * boots, self.least * float(self.left[at]))

    def for_steps(self, at: int, lead: int, rest: float, parts: Array) -> tuple[float, float]:
        """USD of the `rest` that the step `at`, and as expected now the one `lead` later, may cost.

        Args:
            parts: shape (steps of the day from this one on,), of what the rest leaves free above the minimum.
        """
        later = min(at + lead, len(self.left) - 1)
        free = rest - self.least * float(self.left[at])
        now = self.least + free * float(parts[0])
        if self.day[later] == self.day[at]:
            return now, self.least + free * float(parts[later - at])
        return now, float(self.usd[later] / self.steps[later])

    def boots(self, at: int, usd: float, ordered: float) -> float:
        """Machines that may be ordered for the step `at` with `usd` of now, beside those that are `ordered`: its day must pay for them too."""
        if self.start <= 0:
            return np.inf
        later = min(at, len(self.usd) - 1)
        of_day = float(self.usd[later]) - self.least * float(self.steps[later])
        # Numbers of Python, which a tiny price makes infinite without a warning.
        return max(min(float(usd) / self.start, of_day / self.start - float(ordered)), 0.0)


def day_money(scene: Scene, terms: Terms) -> DayMoney | None:
    """The days of a scene; None without a budget."""
    if np.isinf(terms.budget):
        return None
    _, day, counts = np.unique(scene.times.normalize(), return_inverse=True, return_counts=True)
    usd = terms.budget * counts[day] * terms.step_hours / 24
    least = terms.hot * terms.minimum * len(scene.series) * terms.step_hours
    return DayMoney(day.astype(np.int64), counts[day].astype(np.int64), steps_left(scene.times), usd, least, terms.start)


def steps_left(times: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Shape (T,): how many of the times are of the same UTC day, from each on."""
    _, day, counts = np.unique(times.normalize(), return_inverse=True, return_counts=True)
    return np.asarray(np.cumsum(counts)[day] - np.arange(len(day)), dtype=np.int64)
