"""What a backtest says, in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import pandas as pd

if TYPE_CHECKING:
    from headroom.backtest_judgement import Judgement

__all__ = ["share_words", "step_words", "summary_words"]

# A regret below half a percent would be told as 0 %.
_SAME: Final = 0.005
_STEPS: Final = {"0 days 01:00:00": "hour", "1 days 00:00:00": "day", "0 days 00:01:00": "minute", "7 days 00:00:00": "week"}


def summary_words(judgement: Judgement) -> list[str]:
    """Sentences: how the forecast compares, how sure it was of itself, where it is worst, what choosing cost, what was taken for faults,
    who has fewer windows than were asked for, and whether series end at different times.
    """
    said = (_comparison, _certainty, _hardest, _choice, _faults, _windows, _ends)
    sentences = [say(judgement) for say in said]
    return [sentence for sentence in sentences if sentence]


def step_words(step: pd.Timedelta) -> str:
    """A step as people say it: `hour`, `5 minutes`."""
    if str(step) in _STEPS:
        return _STEPS[str(step)]
    minutes = step / pd.Timedelta("1min")
    return f"{minutes / 60:g} hours" if minutes % 60 == 0 else f"{minutes:g} minutes"


def share_words(share: float) -> str:
    """A share as whole percent; a hyphen when there is none."""
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"


def _comparison(judged: Judgement) -> str:
    ratio = float(judged.overall["relative_wql"])
    if math.isnan(ratio):
        return f"The naive {judged.naive} is never wrong on this data, so there is nothing to win."
    side = f"{share_words(1 - ratio)} less than" if ratio < 1 else f"{share_words(ratio - 1)} more than"
    wins, all_series = int((judged.per_series["relative_wql"] < 1).sum()), len(judged.per_series)
    which = f"on {wins:,} of {all_series:,} series it is better than the naive that is better there" if all_series > 1 else ""
    told = f"The forecast's loss is {side} that of {judged.naive}, the better of the naive forecasts"
    return f"{told}; {which}." if which else f"{told}."


def _certainty(judged: Judgement) -> str:
    overall = judged.overall
    gap = 100 * (float(overall["coverage_0.8"]) - 0.8)
    edge = 100 * _on_the_edge(judged.final)
    verdict = (
        "as it should"
        if abs(gap) < 2
        else f"as it may: {edge:.0f} % lie exactly on its edge"
        if 0 < gap < edge + 2
        else f"{abs(gap):.0f} points too {'often: it is too wide' if gap > 0 else 'seldom: it is too narrow'}"
    )
    wide = share_words(float(overall["coverage_0.98"]))
    return (
        f"The 80 % interval held {share_words(float(overall['coverage_0.8']))} of the measurements ({verdict}), the 98 % interval {wide}."
    )


def _on_the_edge(final: pd.DataFrame) -> float:
    """Share of the measurements that equal an end of the 80 % interval, as zeros, counts and constants do: inside it or not, as one likes."""
    rows = final[final["y"].notna()]
    return float(((rows["y"] == rows["0.1"]) | (rows["y"] == rows["0.9"])).mean())


def _hardest(judged: Judgement) -> str:
    ratios = judged.per_series["relative_wql"].dropna()
    if len(ratios) < 2:
        return ""
    worst = str(ratios.idxmax())
    lost = int((ratios > 1).sum())
    words = f"; the naive would have been better on {lost:,}" if lost > 1 else ""
    return f"The hardest series is {worst}, at {ratios.max():.2f} times the loss of its better naive{words}."


def _choice(judged: Judgement) -> str:
    cost = judged.total_regret
    if math.isnan(cost):
        return ""
    knowing = "Had one known for every series which single candidate would turn out best, the loss would be"
    if abs(cost) < _SAME:
        return f"{knowing} nearly the same."
    if cost > 0:
        return f"{knowing} {share_words(1 - 1 / (1 + cost))} lower: that is what choosing without hindsight cost."
    return f"{knowing} {share_words(1 / (1 + cost) - 1)} higher: the blend beats every choice of one."


def _faults(judged: Judgement) -> str:
    doubted = judged.result.doubted
    if not doubted:
        return ""
    rows = sum(doubted.values())
    which = f"of {next(iter(doubted))}" if len(doubted) == 1 else f"of {len(doubted):,} series"
    took = "1 measurement" if rows == 1 else f"{rows:,} measurements"
    return f"Learning left out {took} {which} as {'a fault' if rows == 1 else 'faults'}: excursions that no event explains and that soon came back."


def _windows(judged: Judgement) -> str:
    served = judged.served_windows
    few = served[served < judged.windows]
    if few.empty:
        return ""
    who = f"{few.index[0]} has {few.iloc[0]}" if len(few) == 1 else f"{len(few):,} series have fewer, the least {few.min()}"
    return f"Of the {judged.windows} windows asked for, {who}: the others have too little history before them, or no measurement in them."


def _ends(judged: Judgement) -> str:
    ends = judged.series.rows.groupby("unique_id")["ds"].max()
    apart = ends.max() - ends.min()
    if apart < judged.series.step:
        return ""
    days = apart / pd.Timedelta("1D")
    return (
        f"Series end up to {f'{days:.0f} days' if days >= 2 else f'{24 * days:.0f} hours'} apart: each has its own last windows, and is "
        "forecast there by what was known of all series by then."
    )
