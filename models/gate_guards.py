"""The guards of the gate: one verdict each, with its figures, from the rows of the windows that nobody selected on.

floor     the challenger's pinball loss is below the better naive's
coverage  its 80 % interval holds about as much as it says
segments  no kind of series (see `models.ensemble.segment_of`) is worse than with the champion by more than a little
better    it beats the champion by more than a trifle, and not by luck (see `models.significance`)
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from models.ensemble import segment_of
from models.judging import relative_losses, score_rows
from models.pinball import coverage
from models.significance import compare_daily

__all__ = ["FLOOR", "GuardLimits", "Verdict", "better_guard", "coverage_guard", "examine", "floor_guard", "segment_guard"]

FLOOR = "floor"
_NOBODY = "no champion to compare with"


@dataclass(frozen=True)
class GuardLimits:
    """What a challenger must keep.

    Attributes:
        score_below: its pinball loss over the better naive's.
        coverage_low: least share of measurements within the 80 % interval.
        coverage_high: most of them; wider intervals reserve what nobody needs.
        segment_worse: share by which a segment's loss may exceed the champion's.
        least_gain: share by which it must beat the champion, so that plans stay comparable.
        significance: largest p-value of that gain. A promotion by luck costs little, as it can be rolled back; hence 10 %.
    """

    score_below: float = 1.0
    coverage_low: float = 0.65
    coverage_high: float = 0.95
    segment_worse: float = 0.05
    least_gain: float = 0.002
    significance: float = 0.10


@dataclass(frozen=True)
class Verdict:
    """What a guard says; `str()` is the value of its tag, `pass: ...` or `fail: ...`."""

    name: str
    passed: bool
    figures: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'fail'}: {self.figures}"


def examine(
    *,
    floor: pd.DataFrame,
    challenger: pd.DataFrame,
    calibrated: pd.DataFrame,
    champion: pd.DataFrame | None = None,
    limits: GuardLimits | None = None,
) -> list[Verdict]:
    """The verdicts of all guards, in the order of the module's docstring.

    Args:
        floor: rows of each series' better naive (see `models.judging.floor_rows`).
        challenger: its rows there, before calibration.
        calibrated: the same, with a calibration that has not seen them (see `models.judging.calibrated_elsewhere`).
        champion: the champion's rows there, before calibration; None when there is none that can be scored.
        limits: default `GuardLimits()`.
    """
    limits = limits or GuardLimits()
    return [
        floor_guard(floor, challenger, limits),
        coverage_guard(calibrated, limits),
        segment_guard(floor, challenger, champion, limits),
        better_guard(floor, challenger, champion, limits),
    ]


def floor_guard(floor: pd.DataFrame, challenger: pd.DataFrame, limits: GuardLimits) -> Verdict:
    """The challenger's loss over the naive's is below the limit."""
    score = score_rows(floor, challenger)
    return Verdict(FLOOR, score < limits.score_below, f"{score:.3f} of the better naive's loss, below {limits.score_below:g} is asked")


def coverage_guard(calibrated: pd.DataFrame, limits: GuardLimits) -> Verdict:
    """The share of measurements within the 80 % interval is within its bounds."""
    share = coverage(calibrated, 0.8)
    asked = f"{_percent(limits.coverage_low)} to {_percent(limits.coverage_high)} are asked"
    return Verdict("coverage", limits.coverage_low <= share <= limits.coverage_high, f"the 80 % interval holds {_percent(share)}, {asked}")


def segment_guard(floor: pd.DataFrame, challenger: pd.DataFrame, champion: pd.DataFrame | None, limits: GuardLimits) -> Verdict:
    """No segment's loss exceeds the champion's by more than the limit; without a champion it only says which segment is worst."""
    own = _by_segment(relative_losses(floor, challenger))
    if own.empty:
        return Verdict("segments", True, "the naive makes no error, nothing to compare")
    if champion is None:
        return Verdict("segments", True, f"{_NOBODY}; worst segment {own.idxmax()} at {own.max():.3f} of the naive's loss")
    theirs = _by_segment(relative_losses(floor, champion))
    worse = own / theirs.clip(lower=1e-9) - 1
    name, most = worse.idxmax(), float(worse.max())
    told = f"worst segment {name}: {abs(most):.1%} {'worse' if most > 0 else 'better'} than the champion".replace("%", " %")
    return Verdict("segments", most <= limits.segment_worse, f"{told}, {_percent(limits.segment_worse)} worse is allowed")


def better_guard(floor: pd.DataFrame, challenger: pd.DataFrame, champion: pd.DataFrame | None, limits: GuardLimits) -> Verdict:
    """The challenger's score is better than the champion's by the least gain, and the test says that this is not luck."""
    if champion is None:
        return Verdict("better", True, _NOBODY)
    own, theirs = score_rows(floor, challenger), score_rows(floor, champion)
    test = compare_daily(relative_losses(floor, champion), relative_losses(floor, challenger))
    gain = 1 - own / theirs if theirs > 0 else 0.0
    passed = gain > limits.least_gain and test.p_value <= limits.significance
    told = f"{abs(gain):.1%} {'better' if gain >= 0 else 'worse'} than the champion".replace("%", " %")
    asked = f"a gain above {limits.least_gain:.1%} with p up to {limits.significance:g} is asked".replace("%", " %")
    return Verdict("better", passed, f"{told}, p = {test.p_value:.3f} over {test.days} days; {asked}")


def _by_segment(losses: pd.DataFrame) -> pd.Series[float]:
    """Mean over the series of a segment of their relative loss."""
    by_series = losses.groupby("unique_id")["loss"].mean().reset_index()
    return by_series.groupby(segment_of(by_series["unique_id"]))["loss"].mean()


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
