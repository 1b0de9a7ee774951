"""History as a grid: holes are NaN, filling reads the same time of day, too little history is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
from long_frames import CUTOFF, HOUR, rhythm

from models.hourly_grid import carried, fill_gaps, fill_rows, grid, numbered, unservable, with_demand


def test_every_value_lands_on_its_hour_and_nothing_at_or_after_the_end_is_taken():
    history = rhythm(days=10)
    names, values = grid(history, CUTOFF, steps=48)
    assert names == ["r/edge/cpu"]
    expected = history[(history["ds"] >= CUTOFF - 48 * HOUR) & (history["ds"] < CUTOFF)]["y"]
    np.testing.assert_array_equal(values[0], expected)


def test_a_missing_hour_is_nan_and_takes_the_day_before():
    history = rhythm(days=10)
    gone = CUTOFF - 5 * HOUR
    _, values = grid(history[history["ds"] != gone], CUTOFF, steps=72)
    assert np.flatnonzero(np.isnan(values[0])).tolist() == [67]
    assert fill_gaps(values[0])[67] == values[0][43]


def test_a_long_outage_repeats_the_last_day():
    values = np.tile(np.arange(24.0), 6)
    values[72:120] = np.nan
    np.testing.assert_array_equal(fill_gaps(values), np.tile(np.arange(24.0), 6))


def test_hours_before_the_first_measurement_are_cut_off():
    values = np.concatenate([np.full(30, np.nan), np.arange(50.0)])
    np.testing.assert_array_equal(fill_gaps(values), np.arange(50.0))
    assert fill_gaps(np.full(5, np.nan)).size == 0


def test_a_step_takes_the_last_value_of_its_season_and_of_no_later_one():
    values = np.array([[1.0, np.nan, 3.0, np.nan, np.nan, 6.0, np.nan]])
    np.testing.assert_array_equal(carried(values), [[1.0, 1.0, 3.0, 3.0, 3.0, 6.0, 6.0]])
    np.testing.assert_array_equal(carried(values, 2), [[1.0, np.nan, 3.0, np.nan, 3.0, 6.0, 3.0]])


def test_rows_are_filled_alone_or_together_and_stay_whole_where_they_were():
    random = np.random.default_rng(4)
    values = random.normal(size=(6, 300))
    values[1:][random.random((5, 300)) < 0.5] = np.nan
    values[3, 0], values[4, :40], values[5] = 1.0, np.nan, np.nan
    together = fill_rows(values)
    np.testing.assert_array_equal(together[0], values[0])
    np.testing.assert_array_equal(together[4][np.isfinite(values[4])], values[4][np.isfinite(values[4])])
    np.testing.assert_array_equal(together, np.concatenate([fill_rows(row[None]) for row in values]))
    np.testing.assert_array_equal(together[3], fill_gaps(values[3]))
    assert (together[5] == 0).all()


def test_rows_without_demand_count_for_nothing():
    history = pd.concat([rhythm(days=3), rhythm("r/empty/cpu", days=3).assign(y=np.nan)], ignore_index=True)
    gone = CUTOFF - 5 * HOUR
    names, values = grid(history.assign(y=history["y"].where(history["ds"] != gone)), CUTOFF, steps=24)
    assert names == ["r/edge/cpu"]
    assert np.flatnonzero(np.isnan(values[0])).tolist() == [19]


def test_history_with_other_demand_leaves_the_history_as_it_is():
    history = rhythm(days=3)
    before = history.copy()
    changed = with_demand(history, np.zeros(len(history)))
    assert (changed["y"] == 0).all()
    pd.testing.assert_frame_equal(history, before)
    pd.testing.assert_frame_equal(changed.drop(columns="y"), before.drop(columns="y"))


def test_names_are_numbered_in_their_order_wherever_their_rows_lie():
    ids = pd.Series(["b", "b", "a", "c", "a", "b"])
    found = numbered(ids)
    assert found.tolist() == ids.tolist()
    assert found.categories.tolist() == ["a", "b", "c"]
    assert len(numbered(ids[:0])) == 0


def test_too_little_recent_history_is_named():
    young = rhythm("r/young/cpu", days=2)
    stale = rhythm("r/stale/cpu", days=60)
    stale = stale[stale["ds"] < CUTOFF - pd.Timedelta(days=28)]
    reasons = unservable(pd.concat([young, stale, rhythm(days=4)]), CUTOFF)
    assert set(reasons) == {"r/young/cpu", "r/stale/cpu"}
    assert "48 measured hours" in reasons["r/young/cpu"]
    assert "72 are needed" in reasons["r/young/cpu"]


def test_numbered_and_shuffled_rows_make_the_same_grid():
    hours = pd.date_range(CUTOFF - 30 * HOUR, periods=30, freq="h")
    rows = pd.concat([pd.DataFrame({"unique_id": name, "ds": hours, "y": np.arange(30.0) + at}) for at, name in enumerate("cab")])
    wanted = np.stack([np.arange(30.0) + at for at in (1, 2, 0)])
    for frame in (rows, rows.sort_values(["unique_id", "ds"]), rows.sample(frac=1.0, random_state=1)):
        for ids in (frame["unique_id"], frame["unique_id"].astype("category"), pd.Categorical(frame["unique_id"], list("zcba"))):
            names, values = grid(frame.assign(unique_id=ids), CUTOFF, steps=30)
            assert names == ["a", "b", "c"]
            np.testing.assert_array_equal(values, wanted)
