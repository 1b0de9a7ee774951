"""Training leaves out faults that came back, and believes a new level, an event and everything else."""

from __future__ import annotations

import pandas as pd
import pytest
from long_frames import HOUR, event_rows, no_events, rhythm

from headroom.errors import BadInputError
from models.anomaly_doubt import DOUBTED, believed, with_doubts

ROW = 900


def with_fault(factor: float = 4.0, hours: int = 1) -> pd.DataFrame:
    rows = rhythm()
    fault = (rows.index >= ROW) & (rows.index < ROW + hours)
    return rows.assign(y=rows["y"].where(~fault, rows["y"] * factor))


def doubted(rows: pd.DataFrame, events: pd.DataFrame | None = None) -> pd.Series[bool]:
    return with_doubts(rows, no_events() if events is None else events)[DOUBTED].notna()


@pytest.mark.parametrize(("factor", "hours"), [(4.0, 1), (0.1, 1), (0.02, 8), (3.0, 5)])
def test_a_fault_that_came_back_is_doubted_and_little_else(factor: float, hours: int) -> None:
    found = doubted(with_fault(factor, hours))
    assert found[ROW : ROW + hours].all()
    assert found.drop(range(ROW, ROW + hours)).mean() < 0.005


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_new_level_is_believed_from_its_first_hour_to_its_second_day(factor: float) -> None:
    """The demand that halved is the demand to forecast, whenever the forecast is made."""
    rows = with_doubts(with_fault(factor, hours=10**6), no_events())
    for hours in (1, 6, 12, 24, 36, 48):
        moment = rows["ds"][ROW] + hours * HOUR
        seen = believed(rows, moment)
        assert (seen["ds"] >= rows["ds"][ROW]).sum() >= 0.95 * hours


def test_a_fault_is_believed_until_its_end_is_known() -> None:
    rows = with_doubts(with_fault(0.02, hours=6), no_events())
    fault = rows["ds"][ROW : ROW + 6]
    assert fault.isin(believed(rows, fault.iloc[-1] + HOUR)["ds"]).all()
    assert not fault.isin(believed(rows, fault.iloc[-1] + 12 * HOUR)["ds"]).any()


@pytest.mark.parametrize("cut", [ROW + 3, ROW + 8, ROW + 30])
def test_what_is_believed_at_a_moment_depends_on_the_rows_before_it_alone(cut: int) -> None:
    whole = with_fault(0.02, hours=6)
    moment = whole["ds"][cut]
    early = believed(with_doubts(whole[:cut], no_events()), moment)
    pd.testing.assert_frame_equal(believed(with_doubts(whole, no_events()), moment), early)


def test_a_known_event_is_believed() -> None:
    rows = with_fault(hours=2)
    assert not doubted(rows, event_rows([rows["ds"][ROW]], hours=2))[ROW : ROW + 2].any()


def test_an_ordinary_series_is_believed() -> None:
    assert doubted(rhythm()).mean() < 0.005


def test_rows_keep_their_index_and_their_order() -> None:
    rows = pd.concat([with_fault(), rhythm("r/other/cpu", seed=1)]).sample(frac=1, random_state=0)
    rows.index = pd.Index(range(5000, 5000 + len(rows)))
    found = with_doubts(rows, no_events())
    pd.testing.assert_frame_equal(found.drop(columns=DOUBTED), rows)
    fault = rows.index[(rows["unique_id"] == "r/edge/cpu") & (rows["ds"] == rhythm()["ds"][ROW])]
    assert found[DOUBTED].notna()[fault[0]]


def test_gaps_hide_no_fault() -> None:
    rows = with_fault(4.0)
    gappy = rows.drop(index=[*range(ROW - 30, ROW - 10), ROW + 3]).reset_index(drop=True)
    assert doubted(gappy)[gappy["ds"] == rows["ds"][ROW]].all()


def test_history_without_doubts_is_believed_as_it_is() -> None:
    rows = rhythm()
    pd.testing.assert_frame_equal(believed(rows, rows["ds"][ROW]), rows[:ROW])


def test_no_rows_have_no_doubts() -> None:
    assert with_doubts(rhythm()[:0], no_events()).empty


def test_two_rows_of_one_hour_are_refused() -> None:
    with pytest.raises(BadInputError, match="more than one row"):
        with_doubts(pd.concat([rhythm(), rhythm()[:1]], ignore_index=True), no_events())


def test_any_step_is_judged() -> None:
    rows = rhythm(days=42)
    quarter_hours = rows.assign(ds=rows["ds"].min() + (rows["ds"] - rows["ds"].min()) / 4)
    assert len(with_doubts(quarter_hours, no_events(), step=HOUR / 4)) == len(rows)


def test_an_event_that_was_announced_late_changes_no_doubt():
    """A cutoff between the fault and the announcement must see what it saw then."""
    rows = with_fault(hours=2)
    at = rows["ds"][ROW]
    late = event_rows([at], hours=2, known=at + HOUR)
    pd.testing.assert_frame_equal(with_doubts(rows, late), with_doubts(rows, no_events()))
    assert doubted(rows, late)[ROW : ROW + 2].all()
