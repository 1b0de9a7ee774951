"""What boosters say is told from their trees, bit for bit."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from long_frames import CUTOFF, UTC, no_events, rhythm

from models import boosted_trees
from models.boosted_trees import BoostedTrees
from models.candidates import lightgbm_quantile
from models.candidates.lightgbm_quantile import LightGBMQuantile

PARAMETERS = {"objective": "quantile", "num_leaves": 15, "min_data_in_leaf": 5, "num_threads": 1, "verbosity": -1, "seed": 1}


def table(rows: int, seed: int = 0, *, gaps: bool = True) -> np.ndarray:
    """A category, and numbers of several sizes, with zeros and, in the last three, gaps."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 5)) * [1.0, 1e-3, 1e4, 1.0, 1.0]
    numbers[random.random((rows, 5)) < 0.2] = 0.0
    numbers[:, 2:][random.random((rows, 3)) < (0.2 if gaps else 0.0)] = np.nan
    return np.column_stack([random.integers(0, 60, rows), numbers]).astype(np.float32)


def boosters(features: np.ndarray, levels: tuple[float, ...] = (0.05, 0.5, 0.9), **changed: object) -> list[lightgbm.Booster]:
    random = np.random.default_rng(9)
    known = np.nan_to_num(features)
    effect = random.normal(size=60)[known[:, 0].astype(int)]
    target = effect + known[:, 1] + 1e-4 * known[:, 3] * known[:, 4] + np.isnan(features[:, 5]) + random.normal(0, 0.3, len(features))
    parameters = {**PARAMETERS, **changed}
    data = lightgbm.Dataset(features, target, categorical_feature=[0], params=parameters, free_raw_data=False)
    return [lightgbm.train({**parameters, "alpha": level}, data, num_boost_round=20) for level in levels]


def told(fitted: list[lightgbm.Booster], features: np.ndarray) -> np.ndarray:
    return np.column_stack([booster.predict(features, num_threads=1) for booster in fitted])


@pytest.mark.parametrize("gaps", [True, False])
def test_the_forecast_is_the_boosters_own(gaps: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(boosted_trees, "_ROWS_AT_ONCE", 700)  # so that there are several parts, and a rest
    fitted = boosters(table(2000, gaps=gaps))
    assert any(tree["num_cat"] for booster in fitted for tree in booster.dump_model()["tree_info"])
    # Rows that training did not see, with gaps where it had none, and categories that it did not know.
    asked = table(3000, seed=1)
    asked[:200, 0] = np.nan
    asked[200:300, 0] = 1000
    asked[300:400, 0] = -1
    asked[400:500, 1:3] = np.nan
    found = BoostedTrees(fitted).predict(asked)
    assert len(np.unique(found)) > 1000
    np.testing.assert_array_equal(found, told(fitted, asked))


def test_a_threshold_between_two_numbers_parts_what_it_parted():
    features = np.repeat(np.nextafter(np.float32(1.0), np.float32([0.0, 2.0])), 50)[:, None]  # neighbours but for 1
    data = lightgbm.Dataset(features, (features[:, 0] > 1).astype(float), params=PARAMETERS)
    fitted = [lightgbm.train({**PARAMETERS, "alpha": 0.5}, data, num_boost_round=3)]
    asked = np.concatenate([features[:1], features[-1:], np.float32([[0.0], [1.0], [np.inf]])])
    found = BoostedTrees(fitted).predict(asked)
    assert found[0] < found[1]
    np.testing.assert_array_equal(found, told(fitted, asked))


def test_trees_without_a_split_and_without_rows():
    fitted = boosters(table(2000), min_data_in_leaf=5000)
    assert all(tree["num_leaves"] == 1 for tree in fitted[0].dump_model()["tree_info"])
    np.testing.assert_array_equal(BoostedTrees(fitted).predict(table(10)), told(fitted, table(10)))
    assert BoostedTrees(fitted).predict(table(0)).shape == (0, 3)


def test_what_is_not_told_is_refused():
    with pytest.raises(ValueError, match="only NaN is one"):
        BoostedTrees(boosters(table(2000), zero_as_missing=True))
    with pytest.raises(ValueError, match="leaves; at most 256"):
        BoostedTrees(boosters(table(4000), num_leaves=400, min_data_in_leaf=1))


def test_a_forecast_of_many_rows_is_that_of_few(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lightgbm_quantile, "_ROUNDS", 10)
    history = rhythm(days=21, after=0)
    fitted = LightGBMQuantile().fit(history, no_events(), UTC)
    few = fitted.predict_quantiles(history, no_events(), CUTOFF)
    monkeypatch.setattr(lightgbm_quantile, "_MANY_ROWS", 1)
    monkeypatch.setattr(lightgbm.Booster, "predict", lambda *_, **__: pytest.fail("the trees were not asked"))
    assert len(few)
    assert fitted.predict_quantiles(history, no_events(), CUTOFF).equals(few)
    again = fitted.fit(history[:-100], no_events(), UTC)  # which has other trees
    assert not again.predict_quantiles(history, no_events(), CUTOFF).equals(few)
