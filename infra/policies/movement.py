"""What the hours before a plan leave of a day's starts and stops, and of the least time that machines run: from plan to plan, not within one."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.settings import Settings
from infra.lead_times import boot_lead_hours
from infra.policies.machine_options import Options
from infra.policies.plan_lines import Array, Indices, Lines
from infra.program import Problem
from infra.running import MACHINES, RunHistory

__all__ = ["Movement"]

_DAY_HOURS: Final = 24


class Movement:
    """Limits of `policy.flaps_per_day` and `policy.least_run_hours` for a plan of `lines` from `issue_time` on, a full hour, UTC.

    Attributes:
        flap_day: (2, D, T) the UTC day, counted from that of the issue time, in which the starts of a block are made, and its stops. A start is
            asked for when an allocation first sees it, a lead time before its block (see `infra.targets.desired_state`); a stop comes with the
            allocation after which no hour wants the machine.
        moved: (D,) starts and stops of today so far; 0 where nothing is known.
        flap_limit: (D, days) starts and stops that are left of each day.
    """

    def __init__(self, settings: Settings, lines: Lines, issue_time: pd.Timestamp, history: RunHistory | None) -> None:
        self._policy, self._history, self._keys = settings.policy, history, lines.keys
        self._begins = lines.first_hour.astype(np.float64)
        leads = [boot_lead_hours(settings.services[service].capacity) for _, service, _ in lines.keys]
        self.flap_day = _flap_day(lines.first_hour, np.array(leads), settings.policy.hold_hours, issue_time.hour)
        self._known = np.array([history is not None and history.known(region, service) for region, service, _ in lines.keys])
        self.moved = np.array(
            [
                history.moves_today(*key[:2]) if history is not None and known else 0.0
                for key, known in zip(lines.keys, self._known, strict=True)
            ]
        )
        limit = settings.policy.flaps_per_day or np.inf
        self.flap_limit = np.full((len(lines.keys), int(self.flap_day.max()) + 1), limit)
        self.flap_limit[:, 0] = np.clip(limit - self.moved, 0.0, None)

    def running(self, options: Options, otherwise: Array) -> Array:
        """(M,) machines that run before the first hour, `otherwise` where that is not known."""
        if self._history is None:
            return otherwise
        known = self._known[options.place] & options.machines
        return np.where(known, self._history.running(_machines(options)), otherwise)

    def young(self, options: Options) -> Array:
        """(M, T) of these, the machines that have to run on in each block."""
        hours = self._policy.least_run_hours
        if self._history is None or not hours:
            return np.zeros((len(options.place), self._begins.size))
        known = (self._known[options.place] & options.machines)[:, None]
        return np.where(known, self._history.young(_machines(options), least_run_hours=hours, begins=self._begins), 0.0)

    def counted(self, options: Options) -> Array:
        """(M,) the running machines whose stops or running time a limit of the settings counts."""
        nothing = np.zeros(len(options.place))
        return self.running(options, nothing) if self._policy.flaps_per_day or self._policy.least_run_hours else nothing

    def words(self, asked: Problem, kept: Problem) -> npt.NDArray[np.object_]:
        """(M, T) what the lines say: where too much moved today already, and where `kept` allows more than what was `asked`."""
        place, limit = asked.option_place, self._policy.flaps_per_day
        early = _said(asked.young - kept.young, "; {:g} stop before least_run_hours: no plan within the other limits keeps them")
        if limit is None:
            return early
        stops = self.flap_day[1]
        over = np.where((self.moved > limit)[:, None] & (stops == 0), self.moved[:, None], 0.0)
        with np.errstate(invalid="ignore"):  # places without a limit
            more = np.nan_to_num(kept.flap_limit - asked.flap_limit)
        spent = _said(over, f"; {{:g}} starts and stops since 00:00 UTC, above flaps_per_day {limit:g}")
        extra = _said(
            np.take_along_axis(more, stops, axis=1),
            "; {:g} more this day than flaps_per_day leaves: no plan within the other limits has fewer",
        )
        result: npt.NDArray[np.object_] = (spent + extra)[place] + early
        return result


def _said(amounts: Array, words: str) -> npt.NDArray[np.object_]:
    """The words with each amount, nothing for 0."""
    return np.array([[words.format(amount) if amount > 0 else "" for amount in row] for row in amounts], dtype=object)


def _flap_day(begins: Indices, leads: Indices, hold: int, over: int) -> Indices:
    """(2, D, T); an allocation every `hold` hours from the issue time on, which is `over` hours into its day."""
    started = np.maximum(begins - leads[:, None], 0) // hold * hold
    stopped = np.broadcast_to(-(-begins // hold) * hold, started.shape)
    result: Indices = (over + np.stack([started, stopped])) // _DAY_HOURS
    return result


def _machines(options: Options) -> pd.MultiIndex:
    pairs = [(*options.keys[place][:2], name) for place, name in zip(options.place.tolist(), options.name, strict=True)]
    return pd.MultiIndex.from_tuples(pairs, names=MACHINES)
