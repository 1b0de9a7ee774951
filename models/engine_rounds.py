"""Which windows share a fit, when series end at different times.

Every series is tested on its own last horizons, so that there are as many cutoffs per window as there are distinct ends. What forecasts a window
must not have seen anything after the window's cutoff, of any series; but a fit per cutoff costs more the more ends there are. Where they would be
more than twice the windows, those whose cutoffs lie in the same quarter of a horizon of the clock share a fit, or in the same half, or in the
same whole, made at the earliest of these cutoffs; they are forecast from their own history up to their own cutoff. A fit is at most a horizon
old then, as one is between two trainings, and there are at most as many as horizons from the first cutoff to the last. Horizons are
counted from the end that most series have: their windows have a fit of their own, at their very cutoff, whatever ends the others have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from models.rhythm import Rhythm

__all__ = ["Round", "Window", "engine_rounds", "usual_end"]

# Fits for every window that one end would have: more, and they are shared within ever longer parts of a horizon.
_MOST_FITS: Final = 2
_PARTS: Final = (4, 2, 1)


@dataclass(frozen=True, order=True)
class Window:
    """Attributes:
    cutoff: its first step is the one that begins here.
    end: the first step that its series do not have.
    back: horizons from `cutoff` to `end`; 0 is what lies ahead.
    """

    cutoff: pd.Timestamp
    end: pd.Timestamp
    back: int


@dataclass(frozen=True)
class Round:
    """`windows` that one fit serves, in order of their cutoffs; the fit knows what was known at `moment`, the earliest of these."""

    moment: pd.Timestamp
    windows: tuple[Window, ...]


def usual_end(ends: pd.Series[pd.Timestamp]) -> pd.Timestamp:
    """The end that most series have; the latest of those that equally many have."""
    return pd.Timestamp(ends.mode().max())


def engine_rounds(ends: pd.Series[pd.Timestamp], rhythm: Rhythm, backs: Sequence[int]) -> list[Round]:
    """The windows `backs` horizons before each of `ends` (one per series), by the fits that serve them, oldest first."""
    horizon, usual = rhythm.horizon * rhythm.step, usual_end(ends)
    own = [Window(pd.Timestamp(end) - back * horizon, pd.Timestamp(end), back) for end in sorted(ends.unique()) for back in backs]
    rounds: list[Round] = []
    for width in (pd.Timedelta(microseconds=1), *(horizon / parts for parts in _PARTS)):
        together: dict[int, list[Window]] = {}
        for window in own:
            together.setdefault((window.cutoff - usual) // width, []).append(window)
        rounds = [Round(min(windows).cutoff, tuple(sorted(windows))) for _, windows in sorted(together.items())]
        if len(rounds) <= _MOST_FITS * len(backs):
            break
    return rounds
