"""A series too young for a window of its own is forecast by what the others have learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, UTC, no_events, rhythm

from models.backtest import backtest
from models.candidates import NAIVES
from models.engine import forecast_frame
from models.fitting import fit_chosen
from models.long_frame import LongFrame
from models.ready_model import fit_ready
from models.training_plan import TrainingOptions, make_plan
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


def _with_a_young_series(older: int) -> pd.DataFrame:
    young = rhythm("r/young/cpu", days=4, after=0)
    return pd.concat([*(rhythm(f"r/s{n}/cpu", days=26, seed=n, after=0) for n in range(older)), young], ignore_index=True)


def test_a_training_weighs_a_young_series_as_its_segment(tmp_path: Path) -> None:
    options = TrainingOptions(candidates=("seasonal-ridge",), windows=2, calibration_windows=1, shards=1)
    history = _with_a_young_series(older=3)
    names = sorted(history["unique_id"].unique())
    plan = make_plan(
        tmp_path, run_id="r", issue_time=CUTOFF, history=history, events=no_events(), series=names, calendar=UTC, options=options
    )
    oof = backtest(options.chosen_candidates, plan.history(), plan.events(), plan.calendar, plan.cutoffs)
    assert "r/young/cpu" not in set(oof["unique_id"])
    model = fit_chosen(plan, oof).model
    assert model.weights["r/young/cpu"]["seasonal-ridge"] > 0.5
    assert set(model.predict(history, no_events(), CUTOFF)["unique_id"]) == set(names)


@pytest.mark.parametrize("older", [0, 3])
def test_a_model_without_a_refit_weighs_a_young_series_by_others_or_alike(older: int) -> None:
    model = fit_ready(_with_a_young_series(older), no_events(), UTC, (*NAIVES, "seasonal-ridge"), CUTOFF, seed=0)
    assert model.weights["r/young/cpu"]["seasonal-ridge"] > 0.5
