"""What a day and a week are in steps: models count steps, and an hour is only the usual one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from math import gcd
from typing import Final

import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS

__all__ = ["HOURLY", "Rhythm", "hours_ahead"]

_HOUR: Final = pd.Timedelta(hours=1)
_DAY: Final = pd.Timedelta(days=1)
# A forecast looks at four weeks, at least as many steps as hourly ones have, and at most two weeks of five minutes.
_CONTEXT_DAYS: Final = 28
_LEAST_CONTEXT: Final = 672
_MOST_CONTEXT: Final = 4032
_TRAIN_DAYS: Final = 90
# A series with fewer measured steps than three days, or than this, within the context cannot be served.
_SHORTEST_DAYS: Final = 3
_SHORTEST_STEPS: Final = 24


@dataclass(frozen=True)
class Rhythm:
    """The step of all series and how far ahead they are forecast.

    Attributes:
        step: time between two measurements, at most a day.
        horizon: longest horizon that is asked for, in steps.

    Raises:
        BadInputError: when the step is longer than a day, or not above zero, or the horizon below 1.
    """

    step: pd.Timedelta = _HOUR
    horizon: int = HORIZON_HOURS

    def __post_init__(self) -> None:
        if not pd.Timedelta(0) < self.step <= _DAY:
            raise BadInputError(f"step {self.step}: series are forecast at steps of up to a day; aggregate or spread the rows first")
        if self.horizon < 1:
            raise BadInputError(f"horizon {self.horizon}: at least one step must be forecast")

    @property
    def day(self) -> int:
        """Steps in a day."""
        return max(1, round(_DAY / self.step))

    @property
    def week(self) -> int:
        """Steps in a week."""
        return 7 * self.day

    @property
    def context(self) -> int:
        """Steps that a forecast looks at. More is cut off, so that a forecast does not depend on how much was handed in."""
        return int(min(max(_CONTEXT_DAYS * self.day, _LEAST_CONTEXT), _MOST_CONTEXT))

    @property
    def training(self) -> int:
        """Steps that a fit looks at."""
        return max(self.context, min(_TRAIN_DAYS * self.day, _MOST_CONTEXT))

    @property
    def shortest(self) -> int:
        """Measured steps within the context that a series needs to be forecast."""
        return max(_SHORTEST_DAYS * self.day, _SHORTEST_STEPS)

    def describe(self) -> str:
        """The step in words, for messages: `hours`, or `steps of 5 min`."""
        minutes = self.step / pd.Timedelta(minutes=1)
        return "hours" if self.step == _HOUR else f"steps of {minutes:g} min"

    def stride(self, least: int) -> int:
        """The first number from `least` on that is prime to the day, so that steps by it meet every time of day."""
        return next(number for number in count(least) if gcd(number, self.day) == 1)

    def hours(self, steps: int) -> float:
        """How long `steps` are, in hours."""
        return float(steps * (self.step / _HOUR))


HOURLY: Final = Rhythm()


def hours_ahead(ds: pd.Series[pd.Timestamp], issue_time: pd.Timestamp, rhythm: Rhythm = HOURLY) -> pd.Series[int]:
    """How far ahead each step ends, in whole hours, from 1."""
    ends = ds + rhythm.step - issue_time
    return -(-ends // _HOUR)
