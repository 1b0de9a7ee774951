"""Totals of a file and totals in the lake: sums that agree with their parts, from what was known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from small_world import HOUR, ISSUE, Installation, demand

from headroom.errors import BadInputError
from headroom.schemas import TABLES
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES, split_series_ids
from models.frame_totals import coherent_backtest, coherent_forecast, method_of, of_given_series, with_total_series
from models.hierarchy import hierarchy_of
from models.lake_totals import write_totals
from models.long_frame import LongFrame
from models.reconciliation import METHODS

DAY = 24 * HOUR
NAMES = ("a/edge/cpu", "b/edge/cpu", "a/api/cpu")
TOTALS = {"*/edge/cpu", "*/api/cpu", "a/*/cpu", "b/*/cpu", "*/*/cpu"}


def measured(days: int = 30) -> LongFrame:
    return LongFrame(pd.concat([demand(name, ISSUE - days * DAY, days * 24) for name in NAMES], ignore_index=True), HOUR)


def forecast(rows: pd.DataFrame, hours: int = 12, *, error: float = 8.0) -> pd.DataFrame:
    """Normal quantiles around last week's value, each series with an error of its own, so that totals and parts disagree."""
    parts = []
    for number, (name, own) in enumerate(rows.groupby("unique_id")):
        last = own.set_index("ds")["y"].reindex(pd.date_range(ISSUE - 7 * DAY, periods=hours, freq="h", unit="us"))
        values = (last.to_numpy() + error * (number % 3))[:, None] + 5 * norm.ppf(QUANTILES)
        hour = pd.DataFrame({"unique_id": name, "ds": last.index + 7 * DAY})
        parts.append(pd.concat([hour, pd.DataFrame(values, columns=list(QUANTILE_COLUMNS))], axis=1))
    return pd.concat(parts, ignore_index=True)


def gap(rows: pd.DataFrame) -> float:
    """Mean distance between the total of everything and the sum of the series, in medians, over the total."""
    wide = rows.pivot(index="ds", columns="unique_id", values="0.5")
    return float(((wide["*/*/cpu"] - wide[list(NAMES)].sum(axis=1)).abs() / wide["*/*/cpu"]).mean())


def test_totals_stand_beside_the_series() -> None:
    series = with_total_series(measured())
    assert set(series.rows["unique_id"]) == {*NAMES, *TOTALS}
    assert "5 totals added" in series.notes
    wide = series.rows.pivot(index="ds", columns="unique_id", values="y")
    np.testing.assert_allclose(wide["*/*/cpu"], wide[list(NAMES)].sum(axis=1))


def test_a_fault_of_a_series_is_counted_once_and_not_in_its_totals_again() -> None:
    found = of_given_series({"a/web/cpu": 6, "b/web/cpu": 7, "*/web/cpu": 7, "a/*/cpu": 6, "*/*/cpu": 9})
    assert found == {"a/web/cpu": 6, "b/web/cpu": 7}
    assert of_given_series({}) == {}


@pytest.mark.parametrize("method", METHODS)
def test_a_forecast_agrees_with_its_parts(method: str) -> None:
    series = with_total_series(measured())
    before = forecast(series.rows)
    after = coherent_forecast(before, series, method_of(method))
    assert list(after.columns) == list(before.columns)
    assert set(after["unique_id"]) == set(before["unique_id"])
    assert gap(after) < 0.01 < gap(before)
    assert (np.diff(after[list(QUANTILE_COLUMNS)].to_numpy()) >= 0).all()


def test_bottom_up_leaves_the_series_as_they_are() -> None:
    series = with_total_series(measured())
    before = forecast(series.rows)
    after = coherent_forecast(before, series, "bottom-up")
    both = before.merge(after, on=["unique_id", "ds"], suffixes=("", "_after"))
    own = both[both["unique_id"].isin(NAMES)]
    np.testing.assert_allclose(own[list(QUANTILE_COLUMNS)], own[[f"{name}_after" for name in QUANTILE_COLUMNS]])


def test_a_backtest_reconciles_the_final_forecast_alone_and_looks_at_nothing_after_the_cutoff() -> None:
    series = with_total_series(measured())
    rows = pd.concat([forecast(series.rows).assign(candidate=name, cutoff=ISSUE, y=1.0) for name in ("headroom", "mstl")])
    found = coherent_backtest(rows, series, "wls-var", "headroom")
    assert gap(found[found["candidate"] == "headroom"]) < 0.01
    assert gap(found[found["candidate"] == "mstl"]) > 0.01
    assert (found["y"] == 1.0).all()
    later = pd.concat([series.rows, *(demand(name, ISSUE, 72, level=900) for name in (*NAMES, *TOTALS))], ignore_index=True)
    pd.testing.assert_frame_equal(coherent_backtest(rows, LongFrame(later, HOUR), "wls-var", "headroom"), found)


def test_a_total_with_a_part_that_has_no_forecast_keeps_its_own() -> None:
    series = with_total_series(measured())
    before = forecast(series.rows)
    before = before[before["unique_id"] != "a/api/cpu"]
    after = coherent_forecast(before, series, "bottom-up")
    kept = [rows[rows["unique_id"] == "*/*/cpu"]["0.5"].tolist() for rows in (before, after)]
    assert kept[0] == kept[1]


def test_an_unknown_method_and_a_history_without_a_week_are_refused() -> None:
    with pytest.raises(BadInputError, match="known: bottom-up, wls-var, mint-shrink"):
        method_of("top-down")
    short = with_total_series(measured(6))
    with pytest.raises(BadInputError, match="no past errors"):
        coherent_forecast(forecast(with_total_series(measured()).rows), short, "bottom-up")


@pytest.fixture
def lake_world(tmp_path: Path) -> Installation:
    """A forecast of three series at `ISSUE`, and judged ones of the week before."""
    made = Installation(tmp_path / "home")
    random = np.random.default_rng(0)
    rows = forecast(measured().rows)
    rows = pd.concat([rows, split_series_ids(rows["unique_id"])], axis=1).assign(
        issue_time=ISSUE,
        horizon=((rows["ds"] - ISSUE) // HOUR + 1).astype("int32"),
        confidence=0.9,
        model="demand-forecaster",
        model_version="1",
        candidate="mstl",
        fallback_reason="",
        train_start=ISSUE - 20 * DAY,
        train_end=ISSUE,
        available_at=ISSUE,
    )
    made.lake.replace("forecasts", rows[list(TABLES["forecasts"].columns)], start=ISSUE, end=ISSUE + HOUR)
    ds = pd.date_range(ISSUE - 7 * DAY, ISSUE - HOUR, freq="h", unit="us")
    judged = pd.DataFrame([(name, hour) for name in NAMES for hour in ds], columns=["unique_id", "ds"])
    judged = pd.concat([judged, split_series_ids(judged["unique_id"])], axis=1).assign(
        issue_time=judged["ds"] - 23 * HOUR, horizon=24, bucket="7-24", y=1.0, median=1.0, error=random.normal(size=len(judged))
    )
    judged = judged.assign(pinball=0.1, covered_80=True, covered_98=True, held=np.nan, unmet=np.nan, cost_usd=np.nan, model_version="1")
    judged = judged.assign(available_at=judged["ds"] + HOUR).astype({"horizon": "int32"})[list(TABLES["outcomes"].columns)]
    made.lake.replace("outcomes", judged, start=ISSUE - 7 * DAY, end=ISSUE)
    return made


def test_the_lake_holds_sums_of_its_forecasts_and_a_repetition_writes_the_same(lake_world: Installation) -> None:
    assert write_totals(lake_world.lake, issue_time=ISSUE) == 12 * len(hierarchy_of(NAMES).totals)
    found = lake_world.lake.read("totals")
    assert set(found["unique_id"]) == TOTALS
    wide = pd.concat([found, lake_world.lake.read("forecasts")]).pivot(index="ds", columns="unique_id", values="0.5")
    np.testing.assert_allclose(wide["*/*/cpu"], wide[list(NAMES)].sum(axis=1), rtol=0.02)
    write_totals(lake_world.lake, issue_time=ISSUE)
    pd.testing.assert_frame_equal(lake_world.lake.read("totals"), found)


def test_forecasts_are_untouched_by_totals(lake_world: Installation) -> None:
    before = lake_world.lake.read("forecasts")
    write_totals(lake_world.lake, issue_time=ISSUE)
    pd.testing.assert_frame_equal(lake_world.lake.read("forecasts"), before)


def test_without_judged_forecasts_there_are_no_totals(lake_world: Installation, caplog: pytest.LogCaptureFixture) -> None:
    lake_world.lake.replace("outcomes", lake_world.lake.read("outcomes")[:0], start=ISSUE - 7 * DAY, end=ISSUE)
    assert write_totals(lake_world.lake, issue_time=ISSUE) == 0
    assert "no forecast was judged before" in caplog.text
