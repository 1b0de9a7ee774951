"""The reference that rewards are told against: untuned, made of what was known at the issue time, and wrong where others are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, no_events, rhythm

from headroom.vocabulary import QUANTILE_COLUMNS
from models.candidates import create
from models.pinball import row_pinball
from models.tuning.reference import REFERENCE, reference_forecast, with_reference_pinball

LEVELS = list(QUANTILE_COLUMNS)


def truth() -> pd.DataFrame:
    return pd.concat([rhythm("r/one/cpu", days=35), rhythm("r/two/cpu", days=35, seed=1, noise=0.2)], ignore_index=True)


def reference(rows: pd.DataFrame) -> pd.DataFrame:
    return reference_forecast(rows, no_events(), UTC, CUTOFF)


def test_it_lies_among_the_candidates_that_it_averages() -> None:
    seen = truth()[truth()["ds"] < CUTOFF]
    each = [create(name).fit(seen, no_events(), UTC).predict_quantiles(seen, no_events(), CUTOFF)["0.5"].to_numpy() for name in REFERENCE]
    found = reference(truth())["0.5"].to_numpy()
    assert found.shape == (2 * 72,)
    assert (found >= np.min(each, axis=0) - 1e-9).all()
    assert (found <= np.max(each, axis=0) + 1e-9).all()


def test_it_sees_nothing_at_or_after_the_issue_time() -> None:
    shuffled = truth().assign(y=lambda rows: np.where(rows["ds"] >= CUTOFF, 1e6, rows["y"]))
    pd.testing.assert_frame_equal(reference(shuffled), reference(truth()), check_exact=True)


def test_a_series_too_young_to_forecast_has_no_reference_and_alone_there_is_none() -> None:
    young = rhythm("r/young/cpu", days=2, after=0)
    assert set(reference(pd.concat([truth(), young]))["unique_id"]) == {"r/one/cpu", "r/two/cpu"}
    assert reference(young).empty
    assert reference(young.head(0)).empty


def test_its_loss_stands_beside_the_versions_hour_by_hour() -> None:
    after = truth()[truth()["ds"] >= CUTOFF].assign(issue_time=CUTOFF, pinball=1.0)
    forecast = reference(truth())
    found = with_reference_pinball(after, forecast[forecast["ds"] < CUTOFF + 48 * HOUR])
    assert len(found) == 2 * 48
    both = after.merge(forecast, on=["unique_id", "ds"])
    expected = row_pinball(both[both["ds"] < CUTOFF + 48 * HOUR])
    assert found["reference_pinball"].to_numpy() == pytest.approx(expected.to_numpy())


def test_a_day_that_nobody_foresaw_is_no_arms_fault() -> None:
    """A surge multiplies the loss of any forecast; told against the reference it hardly moves the reward."""
    seen = truth()[truth()["ds"] < CUTOFF]
    own = create("lightgbm").fit(seen, no_events(), UTC).predict_quantiles(seen, no_events(), CUTOFF)
    ratios = []
    for surge in (1.0, 1.6):
        after = truth()[truth()["ds"] >= CUTOFF].assign(y=lambda rows, by=surge: rows["y"] * by)
        judged = with_reference_pinball(
            after.assign(pinball=row_pinball(after.merge(own, on=["unique_id", "ds"])).to_numpy()), reference(seen)
        )
        ratios.append((judged["pinball"].sum(), judged["pinball"].sum() / judged["reference_pinball"].sum()))
    (calm, of_calm), (wild, of_wild) = ratios
    assert wild > 5 * calm
    assert of_wild == pytest.approx(of_calm, rel=0.15)
