"""FLAIR is handed exponents that are found faster: the same forecasts, nothing left behind, and a version that would not take them is left alone."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from flaircast import _level

from headroom.vocabulary import QUANTILE_COLUMNS
from models.candidates import flair
from models.candidates.flair import Flair
from tests.models.long_frames import CUTOFF, UTC, no_events, rhythm


@pytest.fixture(autouse=True)
def looked_at_anew():
    flair._takes_our_exponents.cache_clear()
    yield
    flair._takes_our_exponents.cache_clear()


def forecast() -> pd.DataFrame:
    history = rhythm(days=15, after=0)
    return Flair(seed=3).fit(history, no_events(), UTC).predict_quantiles(history, no_events(), CUTOFF, 24)


def test_the_installed_flaircast_takes_our_exponents():
    """Fails when a new version of flaircast searches in another way: then look at `models/candidates/flair.py` again."""
    assert flair._takes_our_exponents()


def test_forecasts_are_those_of_flair_alone(monkeypatch):
    ours = forecast()
    monkeypatch.setattr(flair, "_takes_our_exponents", lambda: False)
    alone = forecast()
    np.testing.assert_allclose(ours[list(QUANTILE_COLUMNS)], alone[list(QUANTILE_COLUMNS)], rtol=1e-3)


def test_flair_is_left_as_it_was_also_by_a_forecast_that_breaks_down():
    def breaks_down() -> None:
        with flair._fast_box_cox():
            assert _level.scipy_boxcox is not scipy.stats.boxcox
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        breaks_down()
    assert _level.scipy_boxcox is scipy.stats.boxcox


def test_two_threads_leave_nothing_behind():
    """One that began while the other had its own search in place would put that back for good."""
    begun, over = threading.Event(), threading.Event()

    def first() -> None:
        with flair._fast_box_cox():
            begun.set()
            over.wait(5)

    def second() -> None:
        begun.wait(5)
        with flair._fast_box_cox():
            pass

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    begun.wait(5)
    over.set()
    for thread in threads:
        thread.join(5)
    assert _level.scipy_boxcox is scipy.stats.boxcox


def uses_what_was_transformed(values: np.ndarray) -> float:
    transformed, exponent = _level.scipy_boxcox(values)
    return float(np.clip(exponent, 0, 1)) + 0 * float(transformed[0])


@pytest.mark.parametrize("changed", [{"scipy_boxcox": None}, {"_bc_lambda": uses_what_was_transformed}, {"_bc_lambda": lambda values: 0.5}])
def test_a_version_that_searches_in_another_way_is_left_alone_and_told(changed, monkeypatch, caplog):
    for name, value in changed.items():
        if value is None:
            monkeypatch.delattr(_level, name)
        else:
            monkeypatch.setattr(_level, name, value)
    with caplog.at_level(logging.WARNING), flair._fast_box_cox():
        assert getattr(_level, "scipy_boxcox", None) is (None if "scipy_boxcox" in changed else scipy.stats.boxcox)
    assert "searches for exponents in another way" in caplog.text
