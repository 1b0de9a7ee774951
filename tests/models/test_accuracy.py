"""The measures of a backtest, checked by hand and against an independent way to compute them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.accuracy import (
    DECILES,
    INTERVALS,
    OWN_NAIVE,
    accuracy,
    better_naive,
    naive_scales,
    regret,
    reliability,
    row_facts,
    season_steps,
)
from models.leaderboard import LEADERBOARD_COLUMNS, leaderboard
from models.long_frame import LongFrame

START = pd.Timestamp("2026-07-01")
HOUR = pd.Timedelta("1h")
SPREAD = (np.array(QUANTILES) - 0.5) * 10


def measured(values: dict[str, list[float]], step: pd.Timedelta = HOUR) -> LongFrame:
    """Series that begin at START; NaN is a step without a measurement."""
    parts = [pd.DataFrame({"unique_id": name, "ds": START + step * np.arange(len(ys)), "y": ys}) for name, ys in values.items()]
    return LongFrame(pd.concat(parts, ignore_index=True).dropna(ignore_index=True).astype({"ds": "datetime64[us]"}), step)


def forecast(
    series: LongFrame, candidate: str, horizon: int, *, first: int, shift: float = 0.0, names: tuple[str, ...] = ()
) -> pd.DataFrame:
    """A fan of fixed width around y + `shift` for the steps from `first`."""
    cutoff = START + first * series.step
    ahead = pd.DataFrame({"ds": cutoff + series.step * np.arange(horizon)}).astype({"ds": "datetime64[us]"})
    ids = pd.DataFrame({"unique_id": names or sorted(series.rows["unique_id"].unique())})
    rows = ids.merge(ahead, how="cross").merge(series.rows, on=["unique_id", "ds"], how="left")
    quantiles = rows[["y"]].fillna(0.0).to_numpy() + shift + SPREAD
    return rows.assign(cutoff=cutoff, candidate=candidate, **dict(zip(QUANTILE_COLUMNS, quantiles.T, strict=True)))


def two_series() -> LongFrame:
    days = np.arange(24 * 6)
    return measured({"a": list(50 + 10 * np.sin(days)), "b": list(500.0 + days % 24)})


def some_backtest(series: LongFrame) -> pd.DataFrame:
    shifts = {"headroom": 1.0, "seasonal-naive-24": 6.0, "seasonal-naive-168": 4.0, "mstl": -0.5}
    return pd.concat(
        [forecast(series, name, 30, first=first, shift=shift) for name, shift in shifts.items() for first in (72, 102)], ignore_index=True
    )


def test_wql_is_twice_the_pinball_loss_over_the_sum_of_y():
    series = measured({"a": [0.0] * 24 + [10.0, -30.0]})
    rows = forecast(series, "seasonal-naive-24", 2, first=24)
    rows[list(QUANTILE_COLUMNS)] = 4.0
    by_hand = np.mean([2 * (6 * q + 34 * (1 - q)) / 40 for q in DECILES])
    assert accuracy(row_facts(rows, series), ["candidate"])["wql"].item() == pytest.approx(by_hand)


def test_wql_uses_the_nine_deciles_alone():
    series = two_series()
    rows = some_backtest(series)
    before = accuracy(row_facts(rows, series), ["candidate"])["wql"]
    rows[["0.01", "0.05", "0.95", "0.99"]] = 1e9
    pd.testing.assert_series_equal(accuracy(row_facts(rows, series), ["candidate"])["wql"], before)
    assert DECILES == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def test_scaled_error_divides_by_the_change_over_a_season_before_the_cutoff():
    ys = [*range(24), *(v + 3.0 for v in range(24)), *([100.0] * 24)]
    series = measured({"a": [float(v) for v in ys]})
    rows = forecast(series, "seasonal-naive-24", 24, first=48, shift=6.0)
    facts = row_facts(rows, series)
    assert facts["scale"].unique() == pytest.approx([3.0])
    assert accuracy(facts, ["candidate"])["mase"].item() == pytest.approx(2.0)


def test_scales_skip_gaps_and_know_nothing_of_the_future():
    ys = [float(v) for v in np.random.default_rng(0).normal(size=24 * 5)]
    ys[30] = np.nan
    series = measured({"a": ys, "short": ys[:20]})
    cutoffs = pd.DataFrame({"unique_id": ["a", "a", "short"], "cutoff": [START + 96 * HOUR, START + 24 * HOUR, START + 20 * HOUR]})
    found = naive_scales(series, cutoffs).set_index(["unique_id", "cutoff"])["scale"]
    before = pd.Series(ys[:96])
    assert found["a", START + 96 * HOUR] == pytest.approx(before.diff(24).abs().mean())
    assert np.isnan(found["a", START + 24 * HOUR])
    assert np.isnan(found["short", START + 20 * HOUR])


def test_a_constant_series_has_no_scaled_error_and_spoils_none():
    series = measured({"flat": [5.0] * 96, "moving": [float(v) for v in np.arange(96) ** 2]})
    facts = row_facts(forecast(series, "seasonal-naive-24", 24, first=72, shift=1.0), series)
    per_series = accuracy(facts, ["unique_id"])["mase"]
    assert np.isnan(per_series["flat"])
    assert accuracy(facts, ["candidate"])["mase"].item() == pytest.approx(per_series["moving"])


@pytest.mark.parametrize(("step", "season"), [("1h", 24), ("5min", 288), ("1D", 7), ("7D", 1), ("7min", 1), ("15min", 96)])
def test_the_season_is_a_day_or_for_days_a_week(step: str, season: int):
    assert season_steps(pd.Timedelta(step)) == season


def test_coverage_counts_the_edges_of_the_interval_as_inside():
    series = measured({"a": [0.0] * 24 + [-4.0, 4.0, 4.01, 0.0]})
    rows = forecast(series, "seasonal-naive-24", 4, first=24)
    rows[list(QUANTILE_COLUMNS)] = SPREAD  # 0.1 is -4 and 0.9 is 4
    found = accuracy(row_facts(rows, series), ["candidate"]).iloc[0]
    assert found[[f"coverage_{level}" for level in INTERVALS]].tolist() == [0.25, 0.75, 1.0, 1.0]


@pytest.mark.parametrize(
    ("step", "buckets"),
    [
        ("1h", {"1-6": 6, "7-24": 18, "25-72": 48, "73+": 8}),
        ("5min", {"1-6": 72, "7-24": 8}),
        ("6h", {"1-6": 1, "7-24": 3, "25-72": 8, "73+": 68}),
        ("1D", {"7-24": 1, "25-72": 2, "73+": 77}),
    ],
)
def test_buckets_are_hours_whatever_the_step(step: str, buckets: dict[str, int]):
    series = measured({"a": [1.0] * 100}, pd.Timedelta(step))
    facts = row_facts(forecast(series, "seasonal-naive-24", 80, first=20), series)
    assert accuracy(facts, ["bucket"])["rows"].to_dict() == buckets


def test_steps_without_a_measurement_are_left_out():
    series = two_series()
    rows = some_backtest(series)
    holed = rows.assign(y=rows["y"].where(rows["ds"].dt.hour != 3))
    kept = rows[rows["ds"].dt.hour != 3]
    pd.testing.assert_frame_equal(accuracy(row_facts(holed, series), ["candidate"]), accuracy(row_facts(kept, series), ["candidate"]))
    with pytest.raises(BadInputError, match="nothing was measured in any window"):
        row_facts(rows.assign(y=np.nan), series)


def test_the_better_naive_is_the_one_of_the_whole_data_set():
    series = two_series()
    rows = some_backtest(series)
    facts = row_facts(rows, series)
    assert better_naive(facts) == "seasonal-naive-168"
    overall = accuracy(facts, ["candidate"])
    assert overall.loc["seasonal-naive-168", "relative_wql"] == pytest.approx(1.0)
    assert overall.loc["headroom", "relative_wql"] == pytest.approx(
        overall.loc["headroom", "wql"] / overall.loc["seasonal-naive-168", "wql"]
    )
    with pytest.raises(BadInputError, match="add seasonal-naive-24"):
        row_facts(rows[rows["candidate"] == "mstl"], series)


def test_a_naive_that_cannot_serve_every_series_stays_the_bar_where_it_can():
    series = two_series()
    rows = some_backtest(series)
    partial = rows[(rows["candidate"] != "seasonal-naive-168") | (rows["unique_id"] == "a")]
    facts = row_facts(partial, series)
    assert better_naive(facts) == "seasonal-naive-168"
    per_series = accuracy(facts[facts["candidate"] == "headroom"], ["unique_id"])["relative_wql"]
    every = accuracy(row_facts(rows, series), ["unique_id", "candidate"])["wql"]
    assert per_series["a"] == pytest.approx(every["a", "headroom"] / every["a", "seasonal-naive-168"])
    assert per_series["b"] == pytest.approx(every["b", "headroom"] / every["b", "seasonal-naive-24"])


def test_a_series_is_compared_with_the_naive_that_is_better_on_it():
    series = two_series()
    rows = some_backtest(series)
    worse = (rows["candidate"] == "seasonal-naive-168") & (rows["unique_id"] == "a")
    rows.loc[worse, list(QUANTILE_COLUMNS)] += 3.0
    facts = row_facts(rows, series)
    assert better_naive(facts) == "seasonal-naive-168"
    every = accuracy(facts, ["unique_id", "candidate"])["wql"]
    per_series = accuracy(facts[facts["candidate"] == "headroom"], ["unique_id"], naive=OWN_NAIVE)["relative_wql"]
    assert per_series["a"] == pytest.approx(every["a", "headroom"] / every["a", "seasonal-naive-24"])
    assert per_series["b"] == pytest.approx(every["b", "headroom"] / every["b", "seasonal-naive-168"])


def test_a_candidate_is_compared_on_the_rows_that_it_served():
    series = two_series()
    rows = some_backtest(series)
    partial = rows[(rows["candidate"] != "mstl") | (rows["unique_id"] == "a")]
    table = leaderboard(row_facts(partial, series), {"headroom": 3.0, "mstl": 1.5}).set_index("candidate")
    of_a = leaderboard(row_facts(rows[rows["unique_id"] == "a"], series), {}).set_index("candidate")
    assert table.loc["mstl", "relative_wql"] == pytest.approx(of_a.loc["mstl", "relative_wql"])
    assert table["served"].to_dict() == {"mstl": 0.5, "headroom": 1.0, "seasonal-naive-168": 1.0, "seasonal-naive-24": 1.0}
    assert list(table.index) == ["mstl", "headroom", "seasonal-naive-168", "seasonal-naive-24"]
    assert table.loc["mstl", "seconds"] == 1.5
    assert np.isnan(table.loc["seasonal-naive-24", "seconds"])
    assert tuple(table.reset_index().columns) == LEADERBOARD_COLUMNS


def test_regret_compares_with_the_best_single_candidate_per_series_in_hindsight():
    series = two_series()
    good_at_a, good_at_b = (0.0, 9.0), (9.0, 0.0)
    shifts = {"headroom": (1.0, 1.0), "seasonal-naive-24": (5.0, 9.0), "mstl": good_at_a, "lightgbm": good_at_b}
    rows = pd.concat(
        [forecast(series, c, 30, first=72, shift=s, names=(n,)) for c, pair in shifts.items() for n, s in zip("ab", pair, strict=True)]
    )
    found = regret(row_facts(rows, series))
    assert found["oracle"].to_dict() == {"a": "mstl", "b": "lightgbm"}
    assert found["loss"].sum() / found["oracle_loss"].sum() - 1 > 0
    hidden = rows[~((rows["candidate"] == "mstl") & (rows["ds"] == rows["ds"].max()))]
    assert regret(row_facts(hidden, series))["oracle"]["a"] == "seasonal-naive-24", "mstl did not serve every row"


def test_reliability_of_true_quantiles_is_the_diagonal():
    random = np.random.default_rng(0)
    y = random.normal(size=4000)
    truth = np.quantile(random.normal(size=100_000), QUANTILES)
    rows = pd.DataFrame([truth] * len(y), columns=list(QUANTILE_COLUMNS)).assign(y=y)
    found = reliability(rows)
    np.testing.assert_allclose(found["at_most"], found["quantile"], atol=0.02)
    zeros = reliability(rows.assign(y=0.0, **dict.fromkeys(QUANTILE_COLUMNS, 0.0)))
    assert (zeros["below"] == 0).all()
    assert (zeros["at_most"] == 1).all()
    assert (reliability(rows.assign(y=rows["y"].where(rows["y"] > 0)))["rows"] == (y > 0).sum()).all()


def test_it_agrees_with_an_independent_library():
    """sklearn's pinball loss per quantile and group."""
    from sklearn.metrics import mean_pinball_loss

    series = two_series()
    rows = some_backtest(series)
    per_series = accuracy(row_facts(rows, series), ["unique_id", "candidate"])["wql"]
    for key, part in rows.groupby(["unique_id", "candidate"]):
        losses = [mean_pinball_loss(part["y"], part[str(q)], alpha=q) for q in DECILES]
        assert per_series[key] == pytest.approx(2 * np.mean(losses) / part["y"].abs().mean())
