"""A trial of dear candidates: they run everywhere only where a sample of the series says that they may win.

A candidate that costs a tenth of a second or more per series and window is first run on a few series (a network, which learns from all of them, on
all) and on the newest windows that no test reads. It may go on when the plain average of the cheap candidates' quantiles gets better by it: one
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
from models.pinball import row_pinball

__all__ = ["may_win", "sampled", "trial_windows"]

_SAMPLE: Final = 12
_LEAST_WINDOWS: Final = 2
# Less is luck.
_GAIN: Final = 0.01
_MOSTLY: Final = 0.6
_AVERAGE: Final = "average"


def trial_windows(series: int, most: int) -> int:
    """Windows that give at least twelve cases of a series and a window, if there are as many; one case tells nothing."""
    return min(most, max(_LEAST_WINDOWS, -(-_SAMPLE // max(series, 1))))


def sampled(clock: EngineClock, served: Sequence[str]) -> EngineClock:
    """The clock with at most twelve of the series `served`, evenly spread over their names."""
    names = sorted(served)
    chosen = {names[at] for at in np.unique(np.linspace(0, len(names) - 1, _SAMPLE).astype(int))} if names else set()
    return replace(clock, history=clock.history[clock.history["unique_id"].isin(chosen)].reset_index(drop=True))


def may_win(cheap: pd.DataFrame, tried: pd.DataFrame) -> list[str]:
    """The candidates of `tried` that lower the loss of the plain average of `cheap` and themselves by at least `_GAIN`, and in most cases.

    Args:
        cheap, tried: out-of-fold rows of the same windows.
    """
    rivals = cheap[~cheap["candidate"].isin(NAIVES)]
    return [str(name) for name, rows in tried.groupby("candidate", sort=False) if len(rivals) and _gains(cheap, rivals, rows)]


def _gains(cheap: pd.DataFrame, rivals: pd.DataFrame, rows: pd.DataFrame) -> bool:
    """Whether the loss over the better naive's falls when `rows` join the average of `rivals`, on their series and windows."""
    cases = ["unique_id", "cutoff"]
    floor, others = (part.merge(rows[cases].drop_duplicates(), on=cases) for part in (cheap[cheap["candidate"].isin(NAIVES)], rivals))
    without, joined = (_losses(_average(part)) for part in (others, pd.concat([others, rows], ignore_index=True)))
    naive = pd.concat([_losses(part) for _, part in floor.groupby("candidate")], axis=1).groupby("unique_id").mean().min(axis=1)
    scale = naive.reindex(without.index.get_level_values("unique_id")).to_numpy()
    told = scale > 0
    before, after = (losses.to_numpy()[told] / scale[told] for losses in (without, joined))
    return bool(told.any()) and after.mean() <= (1.0 - _GAIN) * before.mean() and (after < before).mean() >= _MOSTLY


def _losses(rows: pd.DataFrame) -> pd.Series[float]:
    """Mean pinball loss of every series and window."""
    return rows.assign(loss=row_pinball(rows)).groupby(["unique_id", "cutoff"], sort=True)["loss"].mean()


def _average(rows: pd.DataFrame) -> pd.DataFrame:
    """Equal weights of all candidates of `rows`, as a candidate."""
    names = sorted(rows["candidate"].unique())
    weights = pd.DataFrame(1.0 / len(names), index=pd.Index(sorted(rows["unique_id"].unique()), name="unique_id"), columns=names)
    return blend(rows, weights).assign(candidate=_AVERAGE)
