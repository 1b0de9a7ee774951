"""Every backtest window calibrates, with weights that have not seen it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headroom.vocabulary import QUANTILE_COLUMNS
from models import engine
from models.candidates import NAIVES
from models.cross_fit import unseen
from models.ensemble import blend, ensemble_weights
from models.long_frame import LongFrame

HOUR = pd.Timedelta(hours=1)
START = pd.Timestamp("2026-03-02")
GOOD, BAD = "seasonal-ridge", NAIVES[0]


def window(number: int, errors: dict[str, float]) -> pd.DataFrame:
    """A day of every candidate, which misses a demand of 100 by its error."""
    cutoff = START + number * 24 * HOUR
    ds = pd.date_range(cutoff, periods=24, freq="h", unit="us")
    steps = np.linspace(-1, 1, len(QUANTILE_COLUMNS))
    base = pd.DataFrame({"unique_id": "r/s/cpu", "cutoff": cutoff, "ds": ds, "horizon": range(1, 25), "y": 100.0})
    parts = [base.assign(candidate=name, **dict(zip(QUANTILE_COLUMNS, 100 + error + steps, strict=True))) for name, error in errors.items()]
    return pd.concat(parts, ignore_index=True)


def windows(numbers: tuple[int, ...], errors: dict[str, float]) -> pd.DataFrame:
    return pd.concat([window(number, errors) for number in numbers], ignore_index=True)


@pytest.fixture
def early() -> pd.DataFrame:
    return windows((0, 2, 4), {GOOD: 1.0, BAD: 9.0})


@pytest.fixture
def late() -> pd.DataFrame:
    return windows((1, 3), {GOOD: 9.0, BAD: 1.0})


def test_every_window_has_rows_once(early: pd.DataFrame, late: pd.DataFrame) -> None:
    rows = unseen(early, late, ensemble_weights(early))
    assert sorted(rows["cutoff"].unique()) == sorted({*early["cutoff"], *late["cutoff"]})
    assert not rows.duplicated(["unique_id", "cutoff", "ds"]).any()


def test_no_row_is_combined_by_weights_that_knew_it(early: pd.DataFrame, late: pd.DataFrame) -> None:
    """Who was good in one part was bad in the other, so weights that have seen a row would flatter it."""
    weights = ensemble_weights(early)
    rows = unseen(early, late, weights)
    flattered = pd.concat([blend(late, ensemble_weights(late)), blend(early, weights)])
    assert (rows["0.5"] - 100).min() > (flattered["0.5"] - 100).max()


def test_the_shrinkage_is_that_of_the_forecast() -> None:
    """Little shrinkage believes the better of two rivals, much of it takes both."""
    early, late = (windows(numbers, {GOOD: 1.0, "flair": 1.2, BAD: 4.0}) for numbers in ((0, 2, 4), (1, 3)))
    middle = [unseen(early, late, ensemble_weights(early), {"r/s/cpu": told}).query("cutoff == @START")["0.5"] for told in (0.01, 0.99)]
    assert np.allclose(middle[0], 101.0, atol=0.02)
    assert np.allclose(middle[1], 101.1, atol=0.02)


def test_the_engine_calibrates_on_all_windows_before_a_cutoff(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    fit = engine.fit_calibration
    monkeypatch.setattr(engine, "fit_calibration", lambda rows, **told: seen.append(rows["cutoff"].nunique()) or fit(rows, **told))
    ds = pd.date_range(START, periods=24 * 30, freq="h", unit="us")
    y = 100 * (2 + np.sin(2 * np.pi * ds.hour / 24)) * np.random.default_rng(1).normal(1, 0.05, len(ds))
    engine.forecast_frame(LongFrame(pd.DataFrame({"unique_id": "s", "ds": ds, "y": y}), HOUR), horizon=24, candidates=("seasonal-ridge",))
    assert seen == [6]
