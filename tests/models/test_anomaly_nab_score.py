"""The benchmark's score is what its published rule gives by hand, on a file of 100 rows with a window of rows 40 to 59."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.nab_score import LabelledFile, Profile, best_threshold, corpus_score, file_score, probation_rows

WINDOW = (40, 59)
# |S(x)| of S(x) = 2 / (1 + exp(5 x)) - 1. Row 45 is 15 of 20 rows before the end; row 78 is 19 rows after it, so one window length; row 99 is 40 / 19.
S_AT_TWO_AND_2_19 = 0.999946
S_AT_1 = 0.986614
S_AT_THREE_QUARTERS = 0.954045
S_AT_ONE_TWENTIETH = 0.124353


def file_with(*detections: int, windows: tuple[tuple[int, int], ...] = (WINDOW,), rows: int = 100) -> LabelledFile:
    scores = np.zeros(rows)
    scores[list(detections)] = 1.0
    return LabelledFile(scores, windows)


@pytest.mark.parametrize(
    ("detections", "raw"),
    [
        ((), -1.0),
        ((40,), 1.0),
        ((59,), S_AT_ONE_TWENTIETH / S_AT_1),
        ((40, 45, 59), 1.0),
        ((45, 59), S_AT_THREE_QUARTERS / S_AT_1),
        ((39, 40), 1.0 - 0.11),
        ((40, 78), 1.0 - 0.11 * S_AT_1),
        ((40, 99), 1.0 - 0.11 * S_AT_TWO_AND_2_19),
        ((14, 40), 1.0),
        ((15,), -1.11),
    ],
    ids=[
        "nothing",
        "first row",
        "last row",
        "earliest counts",
        "a quarter late",
        "before",
        "one window after",
        "far after",
        "probation",
        "after probation",
    ],
)
def test_a_file_scores_what_the_rule_gives_by_hand(detections: tuple[int, ...], raw: float) -> None:
    assert file_score(file_with(*detections), 0.5) == pytest.approx(raw, abs=1e-5)


def test_from_three_window_lengths_on_a_false_detection_costs_all() -> None:
    assert file_score(file_with(40, 190, rows=200), 0.5) == 1.0 - 0.11


def test_normalised_scores_run_from_nothing_detected_to_the_first_row_of_every_window() -> None:
    assert corpus_score([file_with(), file_with()], 0.5) == 0.0
    assert corpus_score([file_with(40), file_with(40)], 0.5) == 100.0
    assert corpus_score([file_with(40), file_with()], 0.5) == 50.0
    assert corpus_score([file_with(20), file_with()], 0.5) == pytest.approx(-100 * 0.11 / 4)


def test_a_profile_says_what_errors_cost() -> None:
    assert file_score(file_with(20), 0.5, Profile(false_positive=0.22, false_negative=2.0)) == pytest.approx(-2.22)


def test_probation_is_15_percent_of_a_file_and_at_most_750_rows() -> None:
    assert [probation_rows(rows) for rows in (100, 4032, 5000, 20000)] == [15, 604, 750, 750]


def test_one_threshold_is_chosen_for_the_whole_corpus() -> None:
    """The lower one finds both windows for one false detection; the best of each file alone would have none."""
    one, two = np.zeros(100), np.zeros(100)
    one[40], one[20], two[40] = 0.9, 0.6, 0.5
    best = best_threshold([LabelledFile(one, [WINDOW]), LabelledFile(two, [WINDOW])])
    assert best.threshold == 0.5
    assert best.score == pytest.approx(100 * (2 - 0.11 + 2) / 4)


def test_where_every_threshold_loses_nothing_is_detected() -> None:
    scores = np.ones(1000)
    best = best_threshold([LabelledFile(scores, [(900, 909)])])
    assert (best.threshold, best.score) == (np.inf, 0.0)
