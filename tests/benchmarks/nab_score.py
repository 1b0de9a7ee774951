"""The scoring rule of the Numenta Anomaly Benchmark, from its published description (Lavin and Ahmad 2015, Evaluating Real-time Anomaly Detection Algorithms).

A detector gives every row a score; rows at or above one threshold, the same for every file, are detections. Rows of a file's first 15 % (750 at most) do not count.

- A labelled window of `w` rows earns, for its earliest detection at `k` rows before its end (the last row: k = 1), `A_TP S(-k / w) / S(-1)`, with `S(x) = 2 / (1 + exp(5 x)) - 1`;
  a window without a detection costs `A_FN`.
- Every detection outside of windows costs: `A_FP` when no window is before it, else `A_FP |S(d / (w - 1))|`, d rows after the end of the last window (of w rows); from 3 window lengths on the full `A_FP`.
- Normalised: 100 x (score - null) / (perfect - null), where null detects nothing and perfect detects the first row of every window and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["STANDARD", "BestThreshold", "LabelledFile", "Profile", "best_threshold", "corpus_score", "file_score", "probation_rows"]

Array = npt.NDArray[np.float64]
_STEEPNESS: Final = 5.0
_FAR: Final = 3.0
_PROBATION: Final = 0.15
_PROBATION_OF: Final = 5000


@dataclass(frozen=True)
class Profile:
    """What a detection in a window earns, and what one outside and a missed window cost."""

    true_positive: float = 1.0
    false_positive: float = 0.11
    false_negative: float = 1.0


STANDARD: Final = Profile()


@dataclass(frozen=True)
class LabelledFile:
    """Scores of a file's rows, and the first and last row of each labelled window, in order and apart from each other."""

    scores: Array
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class BestThreshold:
    """The threshold with the highest score over a corpus, and that score, normalised."""

    threshold: float
    score: float


def probation_rows(rows: int) -> int:
    """Rows at the start of a file that do not count."""
    return min(int(_PROBATION * rows), int(_PROBATION * _PROBATION_OF))


def file_score(file: LabelledFile, threshold: float, profile: Profile = STANDARD) -> float:
    """The raw score of one file."""
    return float(_steps([file], profile, (threshold,))[0])


def corpus_score(files: Sequence[LabelledFile], threshold: float, profile: Profile = STANDARD) -> float:
    """The normalised score of a corpus with one threshold: 0 detects nothing, 100 is perfect; it can be negative."""
    return float(_normalised(_steps(files, profile, (threshold,)), files, profile)[0])


def best_threshold(files: Sequence[LabelledFile], profile: Profile = STANDARD) -> BestThreshold:
    """The best of all thresholds that tell any two rows apart, and of detecting nothing (the benchmark chooses it on the same labels that it scores)."""
    seen = np.concatenate([file.scores[probation_rows(len(file.scores)) :] for file in files])
    candidates = np.append(np.unique(seen), np.inf)
    scores = _normalised(_steps(files, profile, candidates), files, profile)
    best = int(np.argmax(scores))
    return BestThreshold(threshold=float(candidates[best]), score=float(scores[best]))


def _normalised(raw: Array, files: Sequence[LabelledFile], profile: Profile) -> Array:
    windows = sum(len(file.windows) for file in files)
    null, perfect = -profile.false_negative * windows, profile.true_positive * windows
    return 100 * (raw - null) / (perfect - null)


def _steps(files: Sequence[LabelledFile], profile: Profile, thresholds: Sequence[float] | Array) -> Array:
    """Raw score of the corpus at each threshold."""
    wanted = np.asarray(thresholds, dtype=np.float64)
    total = np.zeros(len(wanted))
    for file in files:
        worth, window = _worth(file, profile)
        counted = np.arange(len(file.scores)) >= probation_rows(len(file.scores))
        outside = counted & (window < 0)
        total += _sum_at_least(file.scores[outside], worth[outside], wanted)
        for number in range(len(file.windows)):
            inside = counted & (window == number)
            if inside.any():
                total += _best_at_least(file.scores[inside], worth[inside], wanted, missed=-profile.false_negative)
    return total


def _worth(file: LabelledFile, profile: Profile) -> tuple[Array, npt.NDArray[np.int64]]:
    """What a detection at each row is worth, and the number of the window that it is in (-1: none)."""
    rows = len(file.scores)
    worth, window = np.full(rows, -profile.false_positive), np.full(rows, -1)
    for number, (first, last) in enumerate(file.windows):
        width = last - first + 1
        after = np.arange(last + 1, rows)
        distance = (after - last) / max(width - 1, 1)
        worth[last + 1 :] = np.where(distance >= _FAR, -1.0, _sigmoid(distance)) * profile.false_positive
        inside = np.arange(first, last + 1)
        worth[inside] = _sigmoid(-(last - inside + 1) / width) / _sigmoid(-1.0) * profile.true_positive
        window[inside] = number
    return worth, window


def _sigmoid(position: float | Array) -> Array:
    """1 far to the left of a window's end, 0 at it, -1 far to the right."""
    return np.asarray(2 / (1 + np.exp(_STEEPNESS * np.asarray(position))) - 1)


def _sum_at_least(scores: Array, worth: Array, thresholds: Array) -> Array:
    """Sum of `worth` of the rows whose score reaches each threshold."""
    order = np.argsort(scores)
    sums = np.append(np.cumsum(worth[order][::-1])[::-1], 0.0)
    return np.asarray(sums[np.searchsorted(scores[order], thresholds, side="left")])


def _best_at_least(scores: Array, worth: Array, thresholds: Array, *, missed: float) -> Array:
    """Largest `worth` of the rows whose score reaches each threshold; `missed` where none does."""
    order = np.argsort(scores)
    best = np.append(np.maximum.accumulate(worth[order][::-1])[::-1], missed)
    return np.asarray(best[np.searchsorted(scores[order], thresholds, side="left")])
