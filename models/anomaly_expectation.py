"""What the next row should be: a slow level plus the rhythm that has told the most so far - none, the day's or the week's.

Every series keeps three forecasters side by side, each a level and a profile of residuals by time of day (UTC), or of the week. Their discounted absolute errors decide, row by row, whose
forecast counts. So a series with a week's rhythm is expected to have one as soon as two weeks showed it, and one without is not made noisy by a profile.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["RhythmExpectation", "rate"]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_LEVEL_DAYS: Final = 2.0
_COMPARED_DAYS: Final = 3.0
# Profiles average the last seven days, or the last four weeks.
_DAYS: Final = 7
_WEEKS: Final = 4
_FINEST: Final = pd.Timedelta("30min")
_DAY: Final = pd.Timedelta(days=1)


def rate(half_life: float, seen: Array) -> Array:
    """Weight of the newest row in an exponential mean with this half-life in rows; a plain mean while fewer rows than that were `seen`."""
    return np.asarray(np.maximum(1 - 0.5 ** (1 / half_life), 1 / (seen + 1)))


class RhythmExpectation:
    """Expectations of `series` series whose rows are `step` apart."""

    def __init__(self, series: int, step: pd.Timedelta) -> None:
        rows_per_day = _DAY / step
        self._level_rows, self._compared_rows = _LEVEL_DAYS * rows_per_day, _COMPARED_DAYS * rows_per_day
        slot = max(step, _FINEST)
        self._slots = max(round(_DAY / slot), 1)
        self._rows_per_slot = max(slot / step, 1.0)
        self._level = np.zeros((series, 3))
        self._error = np.zeros((series, 3))
        self._day = np.zeros((self._slots, series))
        self._day_rows = np.zeros((self._slots, series))
        self._week = np.zeros((7 * self._slots, series))
        self._week_rows = np.zeros((7 * self._slots, series))
        self._seen = np.zeros(series)
        self._row = np.arange(series)

    def expect(self, moment: pd.Timestamp) -> Array:
        """Expectation per series of the row at `moment`; 0 before the first row."""
        forecasts = self._level + self._season(*self._slot(moment))
        return np.asarray(forecasts[self._row, np.argmin(self._error, axis=1)])

    def learn(self, moment: pd.Timestamp, y: Array, usable: Flags) -> None:
        """Move levels, profiles and errors of the `usable` series by their values at `moment`."""
        day, week = self._slot(moment)
        first = usable & (self._seen == 0)
        self._level[first] = y[first, None]
        season = self._season(day, week)
        residual = np.where(usable[:, None], y[:, None] - self._level - season, 0.0)
        counted = usable.astype(np.float64)
        self._error += (rate(self._compared_rows, self._seen) * counted)[:, None] * (np.abs(residual) - self._error)
        self._level += rate(self._level_rows, self._seen)[:, None] * residual
        self._learn_profiles(day, week, season[:, 1], residual, counted)
        self._seen += counted

    def _learn_profiles(self, day: int, week: int, day_season: Array, residual: Array, counted: Array) -> None:
        self._day[day] += residual[:, 1] / np.minimum(self._day_rows[day] + 1, _DAYS * self._rows_per_slot)
        self._day_rows[day] += counted
        fresh = (self._week_rows[week] == 0) & (counted > 0)
        moved = self._week[week] + residual[:, 2] / np.minimum(self._week_rows[week] + 1, _WEEKS * self._rows_per_slot)
        self._week[week] = np.where(fresh, day_season + residual[:, 2], moved)
        self._week_rows[week] += counted

    def _season(self, day: int, week: int) -> Array:
        """Shape (series, 3): no rhythm, the day's, the week's; the week's is the day's in a time of the week that is new."""
        weekly = np.where(self._week_rows[week] > 1, self._week[week], self._day[day])
        return np.stack([np.zeros(len(self._row)), self._day[day], weekly], axis=1)

    def _slot(self, moment: pd.Timestamp) -> tuple[int, int]:
        """Slot of the day, and of the week."""
        seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
        day = min(int(seconds / 86400 * self._slots), self._slots - 1)
        return day, int(moment.dayofweek) * self._slots + day
