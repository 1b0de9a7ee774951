"""An online detector of anomalies for any step: one pass, no look ahead, the same time and memory for every row, all series at once.

Three deviations of a row are judged, each by how rare it is among the series' own past deviations of its kind (`models.anomaly_tail`):

- *sudden*: from the expectation corrected by the error of the last rows (exponential mean with a half-life of six rows): jumps and spikes;
- *out of rhythm*: from the expectation (`models.anomaly_expectation`): a day unlike its time of the day and the week;
- *out of range*: from the mean of the last weeks: values that were seldom seen, whatever the rhythm.

The **score** of a row is the quadratic mean of the three `-log10` probabilities: 2 is a row as rare as one in a hundred by all three, or as one in 2,900 by one alone. As in Ahmad et al. 2017, Unsupervised real-time anomaly detection for streaming
data, it is rareness in the series' own long-term distribution that counts, not the size of a residual; here the tail of that distribution is Pareto instead of Gaussian.

An **alarm** is a score of at least the threshold that is higher than every other of the last day: what a person wants to hear once. An **incident** is the state: it begins with a score at
the threshold and lasts until an hour has passed (three rows, where that is longer) without a score of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from models.anomaly_expectation import RhythmExpectation, rate
from models.anomaly_tail import TailHistogram

__all__ = ["THRESHOLD", "AnomalyDetector", "Judgement", "detect_anomalies"]

# Chosen on the benchmark files of known cause alone; docs/benchmarks-anomalies.md.
THRESHOLD: Final = 2.3

_SUDDEN_ROWS: Final = 6.0
_RANGE_DAYS: Final = 14.0
_MEMORY_DAYS: Final = 28.0
_LEAST_MEMORY_ROWS: Final = 4000.0
_SIZE_DAYS: Final = 2.0
# Rows before deviations are remembered, and before they are judged.
_SETTLED_ROWS: Final = 30
_JUDGED_ROWS: Final = 100
# Differences below this share of the series' size are none.
_LEAST_SHARE: Final = 0.002
_UNUSUAL: Final = 1.0
_DAY: Final = pd.Timedelta(days=1)
_CALM: Final = pd.Timedelta(hours=1)
_LEAST_CALM_ROWS: Final = 3

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judgement:
    """One row, an entry per series.

    Attributes:
        expected: what the rhythm and the level let expect; NaN where nothing was seen yet.
        score: quadratic mean of three `-log10` probabilities; 0 where the row is missing, excused, or too early to judge.
        alarm_score: `score` where it is higher than every other of the last day, else 0.
        incident: whether an incident is going on.
    """

    expected: Array
    score: Array
    alarm_score: Array
    incident: Flags


class AnomalyDetector:
    """Judges rows of `series` series, `step` apart, as they come. Rows may be missing (NaN) and moments may be skipped."""

    def __init__(self, series: int, step: pd.Timedelta, *, threshold: float = THRESHOLD) -> None:
        if not pd.Timedelta(0) < step <= _DAY:
            raise BadInputError(f"An anomaly detector was given the step {step}. It needs one above 0 and up to a day.")
        rows_per_day = _DAY / step
        self._threshold = threshold
        self._expectation = RhythmExpectation(series, step)
        self._tails = TailHistogram(series, kinds=3, half_life=max(_MEMORY_DAYS * rows_per_day, _LEAST_MEMORY_ROWS))
        self._range_rows, self._size_rows = _RANGE_DAYS * rows_per_day, _SIZE_DAYS * rows_per_day
        self._calm_rows = max(int(_CALM / step), _LEAST_CALM_ROWS)
        self._recent_error, self._mean, self._size, self._seen = np.zeros((4, series))
        self._last_day = np.zeros((max(round(rows_per_day), 1), series))
        self._calm = np.full(series, self._calm_rows)
        self._row = 0

    def update(self, moment: pd.Timestamp, y: Array, excused: Flags | None = None) -> Judgement:
        """Judge the row at `moment`, then learn from it.

        Args:
            moment: time of the row; naive or UTC.
            y: a value per series; NaN is a missing one.
            excused: series that a known event touches now: neither judged nor learnt from.
        """
        usable = np.isfinite(y) if excused is None else np.isfinite(y) & ~excused
        value = np.where(usable, y, 0.0)
        seen = self._seen > 0
        expected = self._expectation.expect(moment)
        error = np.where(usable & seen, value - expected, 0.0)
        deviations = np.abs(np.stack([error - self._recent_error, error, np.where(seen, value - self._mean, 0.0)], axis=1))
        deviations += (_LEAST_SHARE * self._size)[:, None]
        self._tails.start(np.where(self._seen >= _SETTLED_ROWS, self._size, 0.0))
        judged = usable & (self._seen >= _JUDGED_ROWS)
        score = np.where(judged, np.sqrt(np.square(self._tails.rarity(deviations)).mean(axis=1)), 0.0)
        self._tails.add(deviations, usable)
        self._learn(moment, value, error, usable)
        return Judgement(np.where(seen, expected, np.nan), score, self._alarm_score(score), self._incident(score))

    def _learn(self, moment: pd.Timestamp, value: Array, error: Array, usable: Flags) -> None:
        self._expectation.learn(moment, value, usable)
        counted = usable.astype(np.float64)
        self._recent_error += (1 - 0.5 ** (1 / _SUDDEN_ROWS)) * counted * (error - self._recent_error)
        self._mean += rate(self._range_rows, self._seen) * counted * (value - self._mean)
        self._size += rate(self._size_rows, self._seen) * counted * (np.abs(value) - self._size)
        self._seen += counted

    def _alarm_score(self, score: Array) -> Array:
        """The score where it is the highest of a day."""
        highest = self._last_day.max(axis=0)
        self._last_day[self._row % len(self._last_day)] = score
        self._row += 1
        return np.where(score > highest, score, 0.0)

    def _incident(self, score: Array) -> Flags:
        """Whether an incident began and did not end."""
        going_on = (score >= self._threshold) | (self._calm < self._calm_rows)
        self._calm = np.where(going_on & (score >= _UNUSUAL), 0, self._calm + 1)
        return np.asarray(self._calm < self._calm_rows)


def detect_anomalies(
    demand: pd.DataFrame, *, step: pd.Timedelta, excused: pd.Series[bool] | None = None, threshold: float = THRESHOLD
) -> pd.DataFrame:
    """`unique_id, ds, y, expected, score, alarm, incident` of every row of `demand`, sorted by series and time.

    Every row is judged by the rows before it alone.

    Args:
        demand: `unique_id, ds, y`, any number of series on one grid of `step`; rows may be missing.
        step: time between two rows of a series.
        excused: rows that a known event touches, with the index of `demand`.
        threshold: score from which a row is an alarm.

    Raises:
        BadInputError: a series has two rows of the same time.
    """
    rows = demand[["unique_id", "ds", "y"]].assign(excused=False if excused is None else excused)
    twice = rows.duplicated(["unique_id", "ds"])
    if twice.any():
        first = rows[twice].iloc[0]
        raise BadInputError(
            f"{first['unique_id']} has more than one row at {first['ds']}. Anomaly detection needs one row per series and time: aggregate them first."
        )
    wide = rows.pivot_table(index="ds", columns="unique_id", values="y", aggfunc="first", dropna=False)
    known = rows.pivot_table(index="ds", columns="unique_id", values="excused", aggfunc="first", dropna=False)
    values, events = wide.to_numpy(dtype=float), known.eq(True).to_numpy()
    detector = AnomalyDetector(values.shape[1], step, threshold=threshold)
    judged = [detector.update(moment, values[row], events[row]) for row, moment in enumerate(wide.index)]
    long = rows[["unique_id", "ds", "y"]].sort_values(["unique_id", "ds"]).reset_index(drop=True)
    at = (wide.index.get_indexer(pd.Index(long["ds"])), wide.columns.get_indexer(pd.Index(long["unique_id"])))
    return long.assign(
        expected=_table([row.expected for row in judged], values.shape)[at],
        score=_table([row.score for row in judged], values.shape)[at],
        alarm=_table([row.alarm_score for row in judged], values.shape)[at] >= threshold,
        incident=_table([row.incident for row in judged], values.shape)[at] > 0,
    )


def _table(rows: list[Array] | list[Flags], shape: tuple[int, ...]) -> Array:
    return np.asarray(rows, dtype=np.float64).reshape(shape)
