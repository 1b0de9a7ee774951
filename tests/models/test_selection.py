"""Selection: weights follow the pinball loss, few windows are not trusted, and nothing beats a naive by luck."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS
from models.ensemble import blend, describe, ensemble_weights
from models.pinball import row_pinball
from models.selection import BLEND, ratio_to_best_naive, select


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


def test_the_best_candidate_of_a_series_has_the_most_weight():
    weights = select(oof(FIELD, windows=6)).weights
    assert weights.loc[["a", "b"]].idxmax(axis=1).to_dict() == {"a": "mstl", "b": "lightgbm"}
    assert weights.loc["c", ["seasonal-naive-24", "seasonal-naive-168"]].sum() > 0.5
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


def test_more_windows_are_trusted_more():
    few, many = (select(oof(FIELD, windows=count)).weights.loc["a", "mstl"] for count in (1, 12))
    assert few < many


def test_what_is_far_worse_than_the_best_has_no_share_of_the_equal_weights():
    errors = {"seasonal-naive-24": 9.0, "mstl": 1.0, "lightgbm": 1.5, "flair": 5.0}
    weights = ensemble_weights(oof({name: {"a": error} for name, error in errors.items()}, windows=1)).loc["a"]
    assert weights["lightgbm"] > 0.3  # beaten, but near
    assert weights["flair"] == 0.0  # better than the naive


def test_errors_of_opposite_sign_are_averaged_out():
    rows = oof({"seasonal-naive-24": {"a": 4.0}, "mstl": {"a": 3.0}, "lightgbm": {"a": -3.0}}, windows=4)
    weights = ensemble_weights(rows)
    assert weights.loc["a", "mstl"] == pytest.approx(weights.loc["a", "lightgbm"], abs=0.1)
    blended = blend(rows, weights)
    assert row_pinball(blended).mean() < 0.5 * row_pinball(rows[rows["candidate"] == "mstl"]).mean()


def test_a_blend_is_the_trimmed_weighted_mean_and_shares_out_what_is_missing():
    rows = oof({"seasonal-naive-24": {"a": 4.0, "b": 1.0}, "mstl": {"a": 2.0}}, windows=1)
    weights = pd.DataFrame({"mstl": [0.6, 0.6], "seasonal-naive-24": [0.4, 0.4]}, index=pd.Index(["a", "b"], name="unique_id"))
    blended = blend(rows, weights)
    assert len(blended) == 2 * 72
    # of the weight, 0.3 is trimmed at either end: 0.3 at 102 and 0.1 at 104 are left
    assert blended.groupby("unique_id")["0.5"].first().to_dict() == pytest.approx({"a": (0.3 * 102 + 0.1 * 104) / 0.4, "b": 101.0})
    assert describe(weights.loc["a"]) == "mstl 60 %, seasonal-naive-24 40 %"


def test_candidates_that_agree_are_left_at_their_number():
    """Their weighted mean would be 6.999999999999999, and a constant of 7 outside of its own forecast."""
    rows = oof({name: {"a": -93.0} for name in ("mstl", "lightgbm", "flair")}, windows=1)
    weights = pd.DataFrame([[0.58, 0.31, 0.11]], index=pd.Index(["a"], name="unique_id"), columns=["mstl", "lightgbm", "flair"])
    assert (blend(rows, weights)[list(QUANTILE_COLUMNS)] == 7.0).all(axis=None)


def test_a_candidate_that_runs_away_does_not_carry_the_others_along():
    names = ("seasonal-naive-24", "mstl", "lightgbm", "flair", "seasonal-ridge")
    weights = pd.DataFrame(0.2, index=pd.Index(["a"], name="unique_id"), columns=list(names))
    sane, mad = (oof({name: {"a": error if name == "mstl" else 1.0} for name in names}, windows=1) for error in (1.0, 1e6))
    pd.testing.assert_frame_equal(blend(mad, weights), blend(sane, weights))


def test_the_score_is_the_mean_ratio_to_the_better_naive():
    rows = oof(FIELD)
    assert ratio_to_best_naive(rows, "lightgbm") == pytest.approx((3 / 4 + 3 / 6 + 5 / 2) / 3)
    selection = select(rows)
    both = pd.concat([rows, blend(rows, selection.weights).assign(candidate=BLEND)])
    assert selection.score_vs_best_naive == pytest.approx(ratio_to_best_naive(both, BLEND))


def test_the_leaderboard_lists_every_candidate_best_first():
    selection = select(oof(FIELD))
    board = selection.leaderboard
    assert board["candidate"].tolist() == ["seasonal-naive-24", "lightgbm", "seasonal-naive-168", "mstl"]
    assert board.set_index("candidate")["weight"].to_dict() == pytest.approx(selection.weights.mean().to_dict())
    assert (board["seconds"] == 3.0).all()


def test_a_candidate_that_leaves_hours_out_cannot_win_by_it():
    rows = oof(FIELD)
    gap = (rows["candidate"] == "mstl") & (rows["unique_id"] == "a") & (rows["horizon"] > 60)
    assert select(rows[~gap]).weights.loc["a", "mstl"] == 0.0
    assert select(rows).weights.loc["a", "mstl"] > 0.3


def test_a_series_that_the_naive_forecasts_without_error_leans_on_it():
    perfect = {name: {"a": 0.0 if name.startswith("seasonal") else 1.0} for name in FIELD}
    weights = select(oof(perfect, windows=12)).weights.loc["a"]
    assert weights[["seasonal-naive-24", "seasonal-naive-168"]].sum() > 0.6


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
    fooled = losses.index[losses["wild"] < losses["steady"]]  # the series that the raw losses would give to it alone
    weights = select(rows).weights
    assert len(fooled) >= 4
    assert weights.loc[fooled, "wild"].mean() < 0.8
    assert weights["steady"].mean() > weights["wild"].mean()
