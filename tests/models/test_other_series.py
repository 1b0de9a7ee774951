"""A boosted model learns from the series beside the one that it forecasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, no_events

from models import direct_features
from models.candidates import bare
from models.other_series import others_departures

DAYS, AFTER, SERIES, HORIZON = 40, 20, 20, 6


def region(seed: int) -> pd.DataFrame:
    """Series around a common level that wanders from hour to hour, each in noise of its own: together they tell it, one by itself hardly does."""
    random = np.random.default_rng(seed)
    hours = (DAYS + AFTER) * 24
    level = np.zeros(hours)
    for at, step in enumerate(random.normal(0.0, 12.0, hours)):
        level[at] = 0.97 * level[at - 1] + step
    y = 1000 + level + random.normal(0.0, 80.0, (SERIES, hours))
    ds = CUTOFF + (np.arange(hours) - DAYS * 24) * HOUR
    return pd.concat([pd.DataFrame({"unique_id": f"r/s{at}/cpu", "ds": ds, "y": row}) for at, row in enumerate(y)], ignore_index=True)


def level_error(truth: pd.DataFrame) -> float:
    """Mean distance of forecast medians from the common level, as the mean of all series has it, after the fit."""
    events = no_events()
    model = bare("lightgbm").fit(truth[truth["ds"] < CUTOFF], events, UTC)
    issues = [CUTOFF + (24 * day + 7) * HOUR for day in range(0, AFTER, 2)]
    found = pd.concat([model.predict_quantiles(truth[truth["ds"] < issue], events, issue, HORIZON) for issue in issues])
    level = truth.groupby("ds")["y"].mean()
    return float((found["0.5"] - found["ds"].map(level)).abs().mean())


def test_series_that_move_together_are_forecast_better_by_looking_at_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [region(seed) for seed in (4, 5)]
    beside = [level_error(truth) for truth in drawn]
    monkeypatch.setattr(direct_features, "scopes", lambda _names: ())
    alone = [level_error(truth) for truth in drawn]
    assert sum(beside) < 0.96 * sum(alone), (beside, alone)
    assert all(one < other for one, other in zip(beside, alone, strict=True)), (beside, alone)


@pytest.mark.parametrize("scope", ["others", "region"])
def test_others_without_a_departure_are_left_out_and_a_wild_one_is_held(scope: str) -> None:
    names = ["r/a", "r/b", "r/c", "q/d"]
    found = others_departures(np.array([[1.0], [np.nan], [1e9], [3.0]]), names, scope)[:, 0]
    everywhere = [(10 + 3) / 2, (1 + 10 + 3) / 3, (1 + 3) / 2, (1 + 10) / 2]
    np.testing.assert_allclose(found, everywhere if scope == "others" else [10.0, 5.5, 1.0, 0.0])
