"""Training counts anomalies little and everything else fully."""

from __future__ import annotations

import pandas as pd
import pytest
from long_frames import HOUR, event_rows, no_events, rhythm

from headroom.errors import BadInputError
from models.anomalies import training_weights

ROW = 900


def with_fault(factor: float = 4.0, hours: int = 1) -> pd.DataFrame:
    rows = rhythm()
    fault = (rows.index >= ROW) & (rows.index < ROW + hours)
    return rows.assign(y=rows["y"].where(~fault, rows["y"] * factor))


@pytest.mark.parametrize("factor", [4.0, 0.1])
def test_a_fault_counts_little_and_the_other_hours_count_fully(factor: float) -> None:
    weights = training_weights(with_fault(factor), no_events())
    assert weights[ROW] < 0.1
    assert weights.between(0, 1).all()
    assert weights.drop(ROW).mean() > 0.99


def test_a_rarer_row_counts_less() -> None:
    assert training_weights(with_fault(6.0), no_events())[ROW] < training_weights(with_fault(2.0), no_events())[ROW] < 1


def test_a_known_event_counts_fully() -> None:
    rows = with_fault(hours=2)
    events = event_rows([rows["ds"][ROW]], hours=2)
    assert (training_weights(rows, events)[ROW : ROW + 2] == 1).all()


def test_a_new_level_counts_fully_once_it_lasts() -> None:
    """The demand that halved is the demand to forecast."""
    weights = training_weights(with_fault(0.5, hours=10**6), no_events())
    assert weights[ROW] < 1
    assert weights[ROW + 48 :].mean() > 0.95


def test_weights_keep_the_index_and_the_order_of_the_rows() -> None:
    rows = pd.concat([with_fault(), rhythm("r/other/cpu", seed=1)]).sample(frac=1, random_state=0)
    rows.index = pd.Index(range(5000, 5000 + len(rows)))
    weights = training_weights(rows, no_events())
    fault = rows.index[(rows["unique_id"] == "r/edge/cpu") & (rows["ds"] == rhythm()["ds"][ROW])]
    assert list(weights.index) == list(rows.index)
    assert weights[fault[0]] == weights.min()


def test_no_rows_have_no_weights() -> None:
    assert training_weights(rhythm()[:0], no_events()).empty


def test_two_rows_of_one_hour_are_refused() -> None:
    with pytest.raises(BadInputError, match="more than one row"):
        training_weights(pd.concat([rhythm(), rhythm()[:1]], ignore_index=True), no_events())


def test_any_step_is_weighed() -> None:
    rows = rhythm(days=42)
    quarter_hours = rows.assign(ds=rows["ds"].min() + (rows["ds"] - rows["ds"].min()) / 4)
    assert len(training_weights(quarter_hours, no_events(), step=HOUR / 4)) == len(rows)
