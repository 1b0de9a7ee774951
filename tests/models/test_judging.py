"""The score of the gate: against the naive that is better over all windows, with gaps filled by it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_world import HOUR, ISSUE

from headroom.vocabulary import QUANTILE_COLUMNS
from models.judging import calibrated_elsewhere, floor_rows, relative_losses, score_rows

DAILY, WEEKLY = "seasonal-naive-24", "seasonal-naive-168"
EARLY, LATE = ISSUE, ISSUE + 72 * HOUR


def rows(candidate: str, cutoff: pd.Timestamp, error: float, series: str = "a/b/cpu") -> pd.DataFrame:
    """Two hours of forecasts that all miss a demand of 100 by `error`."""
    ds = [cutoff, cutoff + HOUR]
    frame = pd.DataFrame({"candidate": candidate, "unique_id": series, "cutoff": cutoff, "ds": ds, "horizon": [1, 2], "y": 100.0})
    return frame.assign(**dict.fromkeys(QUANTILE_COLUMNS, 100.0 + error))


@pytest.fixture
def oof() -> pd.DataFrame:
    """The weekly naive is better over both windows, the daily one happens to be on the late one."""
    return pd.concat([rows(DAILY, EARLY, 9), rows(DAILY, LATE, 1), rows(WEEKLY, EARLY, 1), rows(WEEKLY, LATE, 2)], ignore_index=True)


def test_the_floor_is_the_naive_that_is_better_over_all_windows(oof: pd.DataFrame) -> None:
    floor = floor_rows(oof, oof[oof["cutoff"] == LATE])
    assert set(floor["candidate"]) == {WEEKLY}
    assert set(floor["cutoff"]) == {LATE}


def test_the_score_is_the_loss_over_the_floor(oof: pd.DataFrame) -> None:
    floor = floor_rows(oof, oof[oof["cutoff"] == LATE])
    assert score_rows(floor, rows("model", LATE, 0.5)) == pytest.approx(0.25)
    assert score_rows(floor, rows("model", LATE, 4)) == pytest.approx(2)
    assert score_rows(floor, floor) == pytest.approx(1)


def test_what_a_model_leaves_out_counts_with_the_floor(oof: pd.DataFrame) -> None:
    floor = floor_rows(oof, oof[oof["cutoff"] == LATE])
    half = rows("model", LATE, 0).iloc[:1]
    assert score_rows(floor, half) == pytest.approx(0.5)
    assert score_rows(floor, half.iloc[:0]) == pytest.approx(1)


def test_every_series_weighs_the_same(oof: pd.DataFrame) -> None:
    other = oof.assign(unique_id="c/d/cpu")
    both = pd.concat([oof, other], ignore_index=True)
    floor = floor_rows(both, both[both["cutoff"] == LATE])
    forecasts = pd.concat([rows("model", LATE, 1), rows("model", LATE, 3, "c/d/cpu")], ignore_index=True)
    assert score_rows(floor, forecasts) == pytest.approx((0.5 + 1.5) / 2)


def test_relative_losses_add_up_to_the_score(oof: pd.DataFrame) -> None:
    floor = floor_rows(oof, oof[oof["cutoff"] == LATE])
    assert relative_losses(floor, rows("model", LATE, 0.5))["loss"].tolist() == pytest.approx([0.25, 0.25])
    assert relative_losses(floor.assign(**dict.fromkeys(QUANTILE_COLUMNS, 100.0)), rows("model", LATE, 0.5)).empty


def test_the_calibration_of_the_judged_rows_has_not_seen_them() -> None:
    """Intervals that missed in the early window are wider in the late one, whatever was measured there."""
    narrow = dict(zip(QUANTILE_COLUMNS, (99.4, 99.5, 99.6, 99.7, 99.8, 99.9, 100, 100.1, 100.2, 100.3, 100.4, 100.5, 100.6), strict=True))
    early, late = (rows(WEEKLY, cutoff, 0).assign(**narrow) for cutoff in (EARLY, LATE))
    weights = pd.DataFrame({WEEKLY: [1.0]}, index=pd.Index(["a/b/cpu"], name="unique_id"))
    found = [calibrated_elsewhere(pd.concat([early.assign(y=105.0), late.assign(y=y)]), weights, late.assign(y=y)) for y in (100.0, 200.0)]
    # As far as one window is believed: by a sixth of the four widths that a single score counts at most.
    np.testing.assert_allclose(found[0]["0.9"], late["0.9"] + 4 / 6 * (late["0.9"] - late["0.1"]))
    pd.testing.assert_frame_equal(found[0].drop(columns="y"), found[1].drop(columns="y"))
