"""A trial of dear candidates: they run everywhere only where a sample of the series says that they may win.

A candidate that costs a tenth of a second or more per series and window is first run on a few series and on the two newest windows that no test
reads. It may go on when its pinball loss there, over the better naive's, is no worse than that of the best cheap candidate: an average
gains little from members that are worse than all it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from models.candidates import NAIVES
from models.engine_clock import EngineClock
from models.selection import ratio_to_best_naive

__all__ = ["TRIAL_WINDOWS", "may_win", "sampled"]

TRIAL_WINDOWS: Final = 2
_SAMPLE: Final = 12


def sampled(clock: EngineClock, served: Sequence[str]) -> EngineClock:
    """The clock with at most twelve of the series `served`, evenly spread over their names."""
    names = sorted(served)
    chosen = {names[at] for at in np.unique(np.linspace(0, len(names) - 1, _SAMPLE).astype(int))} if names else set()
    return replace(clock, history=clock.history[clock.history["unique_id"].isin(chosen)].reset_index(drop=True))


def may_win(cheap: pd.DataFrame, tried: pd.DataFrame) -> list[str]:
    """The candidates of `tried` (out-of-fold rows of the sample) that are as good as the best of `cheap` on the same series and windows."""
    if tried.empty:
        return []
    same = cheap.merge(tried[["unique_id", "cutoff"]].drop_duplicates(), on=["unique_id", "cutoff"])
    floor = same[same["candidate"].isin(NAIVES)]
    bar = min(ratio_to_best_naive(same, str(name)) for name in same["candidate"].unique())
    names = [str(name) for name in tried["candidate"].unique()]
    return [name for name in names if ratio_to_best_naive(pd.concat([floor, tried[tried["candidate"] == name]]), name) <= bar]
