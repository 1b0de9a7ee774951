"""A trial of dear candidates: they run everywhere only where a sample of the series says that they may win.

A candidate that costs a tenth of a second or more per series and window is first run on a few series (a network, which learns from all of them, on
all) and on the two newest windows that no test reads. It may go on when the plain average of the cheap candidates' quantiles gets better by it: one
that is worse alone may still err in other places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from models.candidates import NAIVES
from models.engine_clock import EngineClock
from models.ensemble import blend
from models.selection import ratio_to_best_naive

__all__ = ["TRIAL_WINDOWS", "may_win", "sampled"]

TRIAL_WINDOWS: Final = 2
_SAMPLE: Final = 12
# Less is luck.
_GAIN: Final = 0.01
_AVERAGE: Final = "average"


def sampled(clock: EngineClock, served: Sequence[str]) -> EngineClock:
    """The clock with at most twelve of the series `served`, evenly spread over their names."""
    names = sorted(served)
    chosen = {names[at] for at in np.unique(np.linspace(0, len(names) - 1, _SAMPLE).astype(int))} if names else set()
    return replace(clock, history=clock.history[clock.history["unique_id"].isin(chosen)].reset_index(drop=True))


def may_win(cheap: pd.DataFrame, tried: pd.DataFrame) -> list[str]:
    """The candidates of `tried` that lower the loss of the plain average of `cheap` and themselves by at least `_GAIN`.

    Args:
        cheap, tried: out-of-fold rows of the same windows.
    """
    rivals = cheap[~cheap["candidate"].isin(NAIVES)]
    return [str(name) for name, rows in tried.groupby("candidate", sort=False) if len(rivals) and _gain(cheap, rivals, rows) >= _GAIN]


def _gain(cheap: pd.DataFrame, rivals: pd.DataFrame, rows: pd.DataFrame) -> float:
    """By which share the mean loss over the better naive's falls when `rows` join the average of `rivals`, on the series and windows of `rows`."""
    where = rows[["unique_id", "cutoff"]].drop_duplicates()
    floor, others = (part.merge(where, on=["unique_id", "cutoff"]) for part in (cheap[cheap["candidate"].isin(NAIVES)], rivals))
    without, joined = (_average(part) for part in (others, pd.concat([others, rows], ignore_index=True)))
    before, after = (ratio_to_best_naive(pd.concat([floor, part], ignore_index=True), _AVERAGE) for part in (without, joined))
    return 1.0 - after / before if before > 0 else 0.0


def _average(rows: pd.DataFrame) -> pd.DataFrame:
    """Equal weights of all candidates of `rows`, as a candidate."""
    names = sorted(rows["candidate"].unique())
    weights = pd.DataFrame(1.0 / len(names), index=pd.Index(sorted(rows["unique_id"].unique()), name="unique_id"), columns=names)
    return blend(rows, weights).assign(candidate=_AVERAGE)
