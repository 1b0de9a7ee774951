"""The backtest sees at every cutoff what was known then, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, event_rows, no_events, rhythm, with_events

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS
from models.backtest import OOF_COLUMNS, backtest, backtest_cutoffs, split_windows
from models.candidates import CANDIDATES, NAIVES

LEVELS = list(QUANTILE_COLUMNS)


def two_series() -> pd.DataFrame:
    return pd.concat([rhythm("r/edge/cpu", days=25, seed=1), rhythm("r/api/cpu", days=25, seed=2, level=3.0)], ignore_index=True)


def played() -> pd.DataFrame:
    return event_rows([CUTOFF + pd.Timedelta(days=day, hours=19) for day in (-20, -17, -12, -9, -5, -2, 1)])


def test_cutoffs_end_where_the_history_ends():
    cutoffs = backtest_cutoffs(CUTOFF, 3)
    assert cutoffs == [CUTOFF - 216 * HOUR, CUTOFF - 144 * HOUR, CUTOFF - 72 * HOUR]
    assert backtest_cutoffs(CUTOFF, 2, step_hours=24) == [CUTOFF - 96 * HOUR, CUTOFF - 72 * HOUR]
    with pytest.raises(BadInputError, match="at least 1"):
        backtest_cutoffs(CUTOFF, 0)


def test_every_hour_is_there_once_with_its_truth():
    history = two_series()
    oof = backtest(NAIVES, history, no_events(), UTC, backtest_cutoffs(CUTOFF, 2))
    assert list(oof.columns) == list(OOF_COLUMNS)
    assert (oof.groupby(["candidate", "unique_id", "cutoff"])["horizon"].apply(list).map(lambda h: h == list(range(1, 73)))).all()
    truth = history.set_index(["unique_id", "ds"])["y"]
    assert (oof.set_index(["unique_id", "ds"])["y"] == truth.reindex(pd.MultiIndex.from_frame(oof[["unique_id", "ds"]]))).all()
    assert ((oof["ds"] - oof["cutoff"]) == (oof["horizon"] - 1) * HOUR).all()


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_changed_future_changes_nothing(name):
    history, events = with_events(two_series(), played(), 40.0), played()
    later = (history["ds"] >= CUTOFF).to_numpy()
    shuffled = history.assign(y=np.where(later, np.random.default_rng(0).permutation(history["y"]) * 100, history["y"]))
    planted = event_rows([CUTOFF + 12 * HOUR, CUTOFF - 30 * HOUR], kind="match", known=CUTOFF + HOUR).assign(strength=50.0)
    extra = rhythm("r/new/cpu", days=0)
    ours, theirs = (
        backtest([name], frame, seen, UTC, [CUTOFF])
        for frame, seen in ((history, events), (pd.concat([shuffled, extra]), pd.concat([events, planted], ignore_index=True)))
    )
    assert len(ours) == 2 * 72
    pd.testing.assert_frame_equal(ours[["unique_id", "ds", *LEVELS]], theirs[["unique_id", "ds", *LEVELS]], check_exact=True)
    assert (ours["y"] != theirs["y"]).any()


@pytest.mark.parametrize("name", ["prophet", "lightgbm"])
def test_an_event_announced_in_time_does_change_the_forecast(name):
    history = with_events(two_series(), played(), 40.0)
    announced = event_rows([CUTOFF + 36 * HOUR], known=CUTOFF)
    without, with_it = (
        backtest([name], history, seen, UTC, [CUTOFF]) for seen in (played(), pd.concat([played(), announced], ignore_index=True))
    )
    assert not without[LEVELS].equals(with_it[LEVELS])


def test_a_series_too_young_at_a_cutoff_has_no_rows_there():
    history = pd.concat([two_series(), rhythm("r/young/cpu", days=7)], ignore_index=True)
    oof = backtest(["seasonal-naive-24"], history, no_events(), UTC, backtest_cutoffs(CUTOFF, 2))
    assert sorted(oof.loc[oof["unique_id"] == "r/young/cpu", "cutoff"].unique()) == [CUTOFF - 72 * HOUR]


def test_hours_without_a_measurement_are_left_out():
    history = two_series()
    history.loc[history["ds"] == CUTOFF + HOUR, "y"] = np.nan
    oof = backtest(["seasonal-naive-24"], history[history["ds"] != CUTOFF + 2 * HOUR], no_events(), UTC, [CUTOFF])
    assert sorted(set(range(1, 73)) - set(oof["horizon"])) == [2, 3]


def test_rows_tell_whether_the_fit_had_seen_a_week_and_a_horizon():
    history = two_series()
    names, grown = sorted(history["unique_id"].unique()), CUTOFF - (168 + 72) * HOUR
    first = history["unique_id"].map({names[0]: grown, names[1]: grown + HOUR})
    oof = backtest(["seasonal-naive-24"], history[history["ds"] >= first], no_events(), UTC, [CUTOFF])
    assert oof.groupby("unique_id")["seasoned"].unique().map(list).to_dict() == {names[0]: [True], names[1]: [False]}


def test_windows_are_dealt_out_in_turn_and_the_newest_selects():
    cutoffs = backtest_cutoffs(CUTOFF, 3)
    oof = backtest(["seasonal-naive-24"], two_series(), no_events(), UTC, cutoffs)
    selecting, calibrating = split_windows(oof, calibration_windows=1)
    assert list(calibrating["cutoff"].unique()) == [cutoffs[1]]
    assert sorted(selecting["cutoff"].unique()) == [cutoffs[0], cutoffs[2]]
    assert len(selecting) + len(calibrating) == len(oof)
    _, most = split_windows(oof, calibration_windows=2)
    assert sorted(most["cutoff"].unique()) == cutoffs[:2]
    with pytest.raises(BadInputError, match="leave none to select on"):
        split_windows(oof, calibration_windows=3)
