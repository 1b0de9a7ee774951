"""A planted driver halves the error at every step, and its gain is that of the step that was told: measured through the whole engine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
import pytest

from models.backtest import backtest
from models.candidates import DEFAULT_CANDIDATES
from models.engine import FINAL, backtest_frame
from models.engine_clock import engine_clock
from models.long_frame import LongFrame

HOUR = pd.Timedelta(hours=1)
HORIZON = 72
DAYS = 18
SERIES = 40
FAST = ("seasonal-ridge",)
# Twelve series keep the whole default ensemble to a dozen seconds.
FEW = 12


@cache
def planted(series: int = SERIES) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(demand, its driver): a rhythm of the day, noise of 0.05, and half an autoregressive driver of its own for every series."""
    random, steps = np.random.default_rng(11), DAYS * 24
    ds = pd.date_range("2026-03-01", periods=steps, freq="h", unit="us")
    driver = np.zeros((series, steps))
    for step in range(1, steps):
        driver[:, step] = 0.9 * driver[:, step - 1] + np.sqrt(1 - 0.9**2) * random.normal(size=series)
    y = 4 + 2 * np.sin(2 * np.pi * np.arange(steps) / 24) + 0.5 * driver + 0.05 * random.normal(size=driver.shape)
    names = np.repeat([f"s{number:02d}" for number in range(series)], steps)
    rows = pd.DataFrame({"unique_id": names, "ds": np.tile(ds, series)})
    return rows.assign(y=y.ravel()), rows.assign(load=driver.ravel())


def told_wrongly(future: pd.DataFrame, steps: np.ndarray) -> pd.DataFrame:
    """At these steps of the last horizon every series is told the driver of another one."""
    values = future["load"].to_numpy().reshape(-1, DAYS * 24).copy()
    ahead = np.flatnonzero(steps) + DAYS * 24 - HORIZON
    values[:, ahead] = np.roll(values[:, ahead], 7, axis=0)
    return future.assign(load=values.ravel())


def errors(future: pd.DataFrame | None, *, series: int = SERIES, candidates: Sequence[str] = FAST) -> np.ndarray:
    """Mean absolute error of the final forecast by step, 1 to 72."""
    demand = LongFrame(planted(series)[0], HOUR)
    found = backtest_frame(demand, horizon=HORIZON, windows=1, candidates=candidates, future=future).forecasts
    final = found[found["candidate"] == FINAL]
    steps = (final["ds"] - final["cutoff"]) // HOUR
    return (final["0.5"] - final["y"]).abs().groupby(steps.to_numpy()).mean().to_numpy()


@cache
def without() -> np.ndarray:
    return errors(None)


@cache
def with_driver() -> np.ndarray:
    return errors(planted()[1])


@pytest.mark.slow
def test_a_driver_halves_the_error_at_every_step():
    assert with_driver().shape == (HORIZON,)
    assert (with_driver() <= 0.5 * without()).all()


@pytest.mark.slow
def test_a_driver_halves_the_error_of_the_default_ensemble_at_every_step():
    default = {"series": FEW, "candidates": DEFAULT_CANDIDATES}
    told, untold = errors(planted(FEW)[1], **default), errors(None, **default)
    assert told.shape == (HORIZON,)
    assert (told <= 0.5 * untold).all()


@pytest.mark.slow
@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_driver_that_is_told_wrongly_at_a_step_gains_nothing_there_and_keeps_its_gain_elsewhere(phase):
    """Every third step is told wrongly; the three phases are all 72 of them."""
    wrong = np.arange(HORIZON) % 3 == phase
    shuffled = errors(told_wrongly(planted()[1], wrong))
    ratio = shuffled[wrong] / without()[wrong]
    assert ratio.min() > 0.8  # of 40 errors each
    assert ratio.mean() > 1.0
    assert (shuffled[~wrong] <= 0.5 * without()[~wrong]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seasonal-ridge", "flair", "mstl", "lightgbm"])
def test_every_kind_of_candidate_gains_by_itself(name):
    """The boosted model sees drivers by itself, the others do not: so none dilutes the gain of the ensemble."""
    some = 20

    def by_step(future: pd.DataFrame | None) -> np.ndarray:
        clock = engine_clock(LongFrame(planted(some)[0], HOUR), HORIZON, None, future)
        rows = backtest([name], clock.history, clock.events, clock.calendar, [clock.usual_end - HORIZON * HOUR], HORIZON)
        return (rows["0.5"] - rows["y"]).abs().groupby(rows["horizon"]).mean().to_numpy()

    assert (by_step(planted(some)[1]) <= 0.5 * by_step(None)).all()
