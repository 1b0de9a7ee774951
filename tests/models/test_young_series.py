"""A series too young for a window of its own is forecast by what the others have learnt."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.candidates import NAIVES
from models.engine import forecast_frame
from models.long_frame import LongFrame
from models.young_series import with_young_series

HOUR = pd.Timedelta(hours=1)
WEIGHTS = pd.DataFrame(
    {"lightgbm": [0.2, 0.4, 1.0], NAIVES[0]: [0.8, 0.6, 0.0]}, index=pd.Index(["r/a/cpu", "r/b/cpu", "r/a/memory"], name="unique_id")
)


@pytest.mark.parametrize(("name", "weight"), [("r/new/cpu", 0.3), ("r/new/memory", 1.0), ("r/new/bandwidth", 1.6 / 3)])
def test_it_has_the_weights_of_its_segment_or_of_all(name: str, weight: float) -> None:
    found = with_young_series(WEIGHTS, ["r/a/cpu", name], ["lightgbm", NAIVES[0]])
    assert found.loc[name].to_dict() == pytest.approx({"lightgbm": weight, NAIVES[0]: 1 - weight})
    pd.testing.assert_frame_equal(found.drop(index=name), WEIGHTS)


def test_where_nobody_has_weights_all_that_are_no_naive_weigh_alike() -> None:
    found = with_young_series(pd.DataFrame(), ["a"], [*NAIVES, "lightgbm", "flair"])
    assert found.loc["a"].to_dict() == {"flair": 0.5, "lightgbm": 0.5}
    assert with_young_series(pd.DataFrame(), ["a"], NAIVES).loc["a"].to_dict() == dict.fromkeys(NAIVES, 0.5)


def test_series_that_are_all_too_young_to_be_judged_are_forecast_better_than_by_the_last_day() -> None:
    ds = pd.date_range("2026-03-03", periods=24 * 7, freq="h", unit="us")
    random, cutoff = np.random.default_rng(1), ds[96]
    day = 2 + np.sin(2 * np.pi * ds.hour / 24)
    rows = pd.concat(
        [pd.DataFrame({"unique_id": f"r/s{n}/cpu", "ds": ds, "y": 50 * day * random.normal(1, 0.1, len(ds))}) for n in range(8)]
    )
    found = forecast_frame(
        LongFrame(rows[rows["ds"] < cutoff].reset_index(drop=True), HOUR), horizon=72, candidates=("seasonal-ridge", "flair")
    )
    assert set(found.weights["candidate"]) == {"seasonal-ridge", "flair"}
    truth = rows[rows["ds"] >= cutoff].merge(found.forecasts, on=["unique_id", "ds"])
    naive = truth.merge(rows.assign(ds=rows["ds"] + 72 * HOUR).rename(columns={"y": "before"}), on=["unique_id", "ds"])["before"]
    assert (truth["y"] - truth["0.5"]).abs().mean() < 0.9 * (truth["y"].to_numpy() - naive).abs().mean()
    assert ((truth["0.1"] <= truth["y"]) & (truth["y"] <= truth["0.9"])).mean() > 0.7


def test_four_days_among_longer_series_are_forecast_better_than_by_the_last_day() -> None:
    ds = pd.date_range("2026-03-02", periods=24 * 26, freq="h", unit="us")
    random, cutoff = np.random.default_rng(1), ds[-48]
    names = [f"r/s{number}/cpu" for number in range(14)]
    day = 2 + np.sin(2 * np.pi * ds.hour / 24)
    rows = pd.concat([pd.DataFrame({"unique_id": name, "ds": ds, "y": 50 * day * random.normal(1, 0.1, len(ds))}) for name in names])
    own = rows["unique_id"].isin(names[:8])
    known = rows[(rows["ds"] < cutoff) & ~(own & (rows["ds"] < cutoff - 96 * HOUR))].reset_index(drop=True)
    found = forecast_frame(LongFrame(known, HOUR), horizon=48, candidates=("seasonal-ridge",))
    weights = found.weights[found.weights["unique_id"] == names[0]].set_index("candidate")["weight"]
    assert weights["seasonal-ridge"] > 0.5
    last_day = known[known["ds"] >= cutoff - 24 * HOUR].set_index("unique_id").groupby(level=0)["y"].apply(list)
    truth = rows[own & (rows["ds"] >= cutoff)].merge(found.forecasts, on=["unique_id", "ds"])
    naive = np.concatenate([np.tile(last_day[name], 2) for name in truth["unique_id"].unique()])
    assert (truth["y"] - truth["0.5"]).abs().mean() < 0.9 * (truth["y"] - naive).abs().mean()
