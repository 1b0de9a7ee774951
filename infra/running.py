"""What ran before an issue time, hour by hour: how long machines have been running, and how often they were started and stopped today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["MACHINES", "RunHistory"]

MACHINES: Final = ["region", "service", "machine_type"]
_HOUR: Final = pd.Timedelta("1h")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RunHistory:
    """Machines that ran in the hours before `issue_time`, a full hour, UTC; nothing of later hours is in it.

    Attributes:
        hot: index region, service, machine type; columns the hours, in order and without gaps, the last one before `issue_time`.
        since: (region, service) -> first of these hours of which it is known what ran. What is not listed is not known.
        lent: as the index of `hot`: machines of the last hour that ran for a peer region.
    """

    issue_time: pd.Timestamp
    hot: pd.DataFrame
    since: Mapping[tuple[str, str], pd.Timestamp]
    lent: pd.Series[float]

    def known(self, region: str, service: str) -> bool:
        """Whether it is known what a service ran there."""
        return (region, service) in self.since

    def running(self, machines: pd.MultiIndex) -> Array:
        """(M,) machines of its own that each service and type ran in the last hour."""
        last = self.hot.iloc[:, -1].sub(self.lent, fill_value=0.0).clip(lower=0.0)
        result: Array = last.reindex(machines).fillna(0.0).to_numpy(float)
        return result

    def young(self, machines: pd.MultiIndex, *, least_run_hours: float, begins: Array) -> Array:
        """(M, T) of those, the machines that ran for less than `least_run_hours` at each of `begins`, hours from the issue time on.

        The oldest machines leave first. Those that ran in the first known hour are old.
        """
        age = self._hours_ago()[:, None] + begins
        started = pd.DataFrame(np.clip(self._moves(), 0.0, None), index=self.hot.index).reindex(machines).fillna(0.0).to_numpy(float)
        result: Array = np.minimum(started @ (age < least_run_hours - 1e-9), self.running(machines)[:, None])
        return result

    def moves_today(self, region: str, service: str) -> float:
        """Starts plus stops of a service's machines since 00:00 UTC."""
        today = self._hours_ago() <= self.issue_time.hour
        own = np.array([key[:2] == (region, service) for key in self.hot.index], dtype=bool)
        return float(np.abs(self._moves()[np.ix_(own, today)]).sum())

    def _hours_ago(self) -> Array:
        """Of each hour: how long before the issue time it began."""
        result: Array = np.arange(self.hot.shape[1], 0, -1).astype(np.float64)
        return result

    def _moves(self) -> Array:
        """Machines more than in the hour before, as the shape of `hot`; 0 up to the first known hour."""
        known = [(self.issue_time - self.since.get(key[:2], self.issue_time)) / _HOUR for key in self.hot.index]
        moved = np.diff(self.hot.to_numpy(float), axis=1, prepend=0.0)
        result: Array = np.where(self._hours_ago() < np.array(known).reshape(-1, 1), moved, 0.0)
        return result
