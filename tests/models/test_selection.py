"""Selection: the least pinball loss per series, and never worse than the better naive."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS
from models.pinball import row_pinball
from models.selection import of_chosen, ratio_to_best_naive, select


def oof(errors: dict[str, dict[str, float]], windows: int = 2) -> pd.DataFrame:
    """Out-of-fold rows of windows that are all alike, in which every quantile misses the truth, 100, by
    `errors[candidate][series]`."""
    parts = [
        pd.DataFrame({"horizon": range(1, 73)}).assign(
            candidate=name, unique_id=series, cutoff=cutoff, y=100.0, seconds=0.5, **dict.fromkeys(QUANTILE_COLUMNS, 100.0 + error)
        )
        for name, per_series in errors.items()
        for series, error in per_series.items()
        for cutoff in (CUTOFF + 72 * HOUR * window for window in range(windows))
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(ds=rows["cutoff"] + (rows["horizon"] - 1) * HOUR)


FIELD = {
    "seasonal-naive-24": {"a": 4.0, "b": 9.0, "c": 2.0},
    "seasonal-naive-168": {"a": 8.0, "b": 6.0, "c": 2.0},
    "mstl": {"a": 2.0, "b": 6.0, "c": 5.5},
    "lightgbm": {"a": 3.0, "b": 3.0, "c": 5.0},
}


def test_each_series_gets_its_best_and_ties_go_to_the_naive():
    chosen = select(oof(FIELD)).chosen
    assert chosen == {"a": "mstl", "b": "lightgbm", "c": "seasonal-naive-24"}
    level = {name: {**errors, "b": 6.0} for name, errors in FIELD.items()}
    assert select(oof(level)).chosen["b"] == "seasonal-naive-24"


def test_the_score_is_the_mean_ratio_to_the_better_naive():
    rows = oof(FIELD)
    selection = select(rows)
    assert selection.score_vs_best_naive == pytest.approx((2 / 4 + 3 / 6 + 1) / 3)
    assert ratio_to_best_naive(rows, "lightgbm") == pytest.approx((3 / 4 + 3 / 6 + 5 / 2) / 3)
    assert len(of_chosen(rows, selection.chosen)) == 3 * 2 * 72


def test_the_leaderboard_lists_every_candidate_best_first():
    board = select(oof(FIELD)).leaderboard
    assert board["candidate"].tolist() == ["seasonal-naive-24", "lightgbm", "seasonal-naive-168", "mstl"]
    assert board.set_index("candidate")["chosen_for"].to_dict() == {
        "mstl": 1, "lightgbm": 1, "seasonal-naive-24": 1, "seasonal-naive-168": 0,
    }  # fmt: skip
    assert (board["seconds"] == 3.0).all()


def test_a_candidate_that_leaves_hours_out_cannot_win_by_it():
    rows = oof(FIELD)
    gap = (rows["candidate"] == "mstl") & (rows["unique_id"] == "a") & (rows["horizon"] > 60)
    assert select(rows[~gap]).chosen["a"] == "lightgbm"


def test_a_series_that_the_naive_forecasts_without_error_keeps_it():
    perfect = {name: {"a": 0.0 if name != "mstl" else 1.0} for name in FIELD}
    selection = select(oof(perfect))
    assert selection.chosen == {"a": "seasonal-naive-24"}
    assert selection.score_vs_best_naive == 1.0


def test_nothing_to_select_from_is_refused():
    with pytest.raises(BadInputError, match="no seasonal naive"):
        select(oof({"mstl": {"a": 1.0}}))
    with pytest.raises(BadInputError, match="no rows"):
        select(oof(FIELD).iloc[:0])


def test_luck_on_one_series_does_not_beat_skill_on_all():
    """A candidate that is good everywhere against one that is better here and much worse there from window to window."""
    random = np.random.default_rng(0)
    names = [f"s{i:02d}" for i in range(20)]
    misses = {"seasonal-naive-24": 4.0, "seasonal-naive-168": 4.0, "steady": 3.0, "wild": 3.3}
    rows = oof({candidate: dict.fromkeys(names, error) for candidate, error in misses.items()}, windows=3)
    luck = {key: float(np.exp(random.normal(0, 0.5))) for key in rows.groupby(["unique_id", "cutoff"]).groups}
    factor = pd.Series([luck[key] for key in zip(rows["unique_id"], rows["cutoff"], strict=True)])
    lucky = (rows["candidate"] == "wild").to_numpy()
    for column in QUANTILE_COLUMNS:
        rows[column] = 100 + (rows[column] - 100) * np.where(lucky, factor, 1.0)
    losses = rows.assign(loss=row_pinball(rows)).pivot_table(index="unique_id", columns="candidate", values="loss")
    fooled = int((losses["wild"] < losses["steady"]).sum())  # what the raw losses would choose
    chosen = list(select(rows).chosen.values())
    assert fooled >= 4
    assert chosen.count("wild") <= fooled / 2
    assert chosen.count("wild") + chosen.count("steady") == len(names)
