"""What was learnt from usage, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from headroom.summary_text import amount

if TYPE_CHECKING:
    from models.learning import LearnReport
    from models.tuning.trainings import TuningReport

__all__ = ["learnt_lines"]


def learnt_lines(learnt: LearnReport, tuned: TuningReport) -> Iterator[str]:
    """What was judged, how good it was, what demand was above what was held, and what follows for training and tuning."""
    if learnt.judged:
        yield f"{learnt.judged:,} forecasts of {learnt.hours} hours judged"
    else:
        yield "nothing to judge: no forecast's hours have been measured since the last run"
    for bucket, told in learnt.buckets.items():
        error = f"{told['rows']:,.0f} rows, error {100 * told['relative_error']:.1f} % of demand"
        yield f"  last 7 days, {bucket} h ahead: {error}; {_held(told['coverage_80'], told['coverage_98'])}"
    if learnt.coverage_80 is not None and learnt.coverage_98 is not None:
        yield f"  last 7 days, all: {_held(learnt.coverage_80, learnt.coverage_98)}"
    if learnt.planned_hours:
        yield f"{learnt.planned_hours} series hours had a plan, which cost {learnt.cost_usd:,.2f} USD"
    for series, total in learnt.unmet.items():
        yield f"  unmet: {series} asked for {amount(total)} unit hours more than was held"
    yield f"{learnt.offsets} calibration offsets written, {learnt.anomalies} hours flagged as anomalies"
    yield f"{'retrain' if learnt.retrain else 'no retraining asked for'}: {learnt.reason}"
    how = "frozen, so written down only" if tuned.frozen else "learnt from"
    yield f"tuning: {tuned.rewarded} choices rewarded ({how}), {tuned.waiting} still without a reward"
    for arm, reward in tuned.mean_reward.items():
        yield f"  {arm}: mean reward {reward:.3f} (-1: as good as untuned, 0: without error)"


def _held(inner: float, outer: float) -> str:
    return f"80 % intervals held {100 * inner:.0f} %, 98 % ones {100 * outer:.0f} %"
