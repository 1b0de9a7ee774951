"""The contract of `Forecaster`: what every candidate promises, and a new one, written below in one file, too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, event_rows, no_events, rhythm

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.backtest import backtest
from models.candidates import CANDIDATES, DECLARED, LOCAL_CANDIDATES, bare, create, lightgbm_quantile, prophet_events
from models.candidates.declaration import Declaration
from models.candidates.driver_adjusted import DriverAdjusted
from models.candidates.recurrent import Recurrent
from models.candidates.statistical import Statistical
from models.engine_budget import affordable, seconds_of
from models.engine_clock import engine_clock
from models.forecaster import Forecaster, SeriesCalendar, StoredForecaster
from models.hourly_grid import fill_rows, grid, recent
from models.long_frame import LongFrame
from models.packaging import requirements
from models.quantile_frame import lowest, quantile_frame
from models.tuning.arms import Tuning

LEVELS = list(QUANTILE_COLUMNS)
DAYS = 16
HOURS = DAYS * 24


class UsualHour:
    """A new candidate: the quantiles of what was measured at the same time of day."""

    name = "usual-hour"

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> UsualHour:
        return self

    def predict_quantiles(self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = 72) -> pd.DataFrame:
        names, values = grid(history.dropna(subset=["y"]), issue_time)
        usual = np.quantile(fill_rows(values).reshape(len(names), -1, 24), QUANTILES, axis=1).transpose(1, 2, 0)
        return quantile_frame(names, usual[:, np.arange(horizon) % 24], issue_time, lowest(values))


EVERY = (*(name for name in CANDIDATES if DECLARED[name].installed()), UsualHour.name)
LOCAL = (*LOCAL_CANDIDATES, UsualHour.name)
LOOKING = ("lightgbm",)  # at the other series of a forecast
STORED = tuple(name for name in ("seasonal-ridge", "lightgbm", "exponential-smoothing", "window-ridge", "gru") if name in EVERY)


def made(name: str, *, seed: int = 0, tuning: Mapping[str, Tuning] | None = None) -> Forecaster:
    if name == "gru":  # a fit at full length takes a quarter of a minute
        return DriverAdjusted(Recurrent(seed=seed, steps=40))
    return UsualHour() if name == UsualHour.name else create(name, seed=seed, tuning=tuning)


def forecast(name: str, history: pd.DataFrame, *, horizon: int = 72, seed: int = 0) -> pd.DataFrame:
    events = no_events()
    return made(name, seed=seed).fit(history, events, UTC).predict_quantiles(recent(history, CUTOFF), events, CUTOFF, horizon)


def known(name: str = "r/edge/cpu", *, days: int = DAYS, seed: int = 0) -> pd.DataFrame:
    return rhythm(name, days=days, seed=seed, after=0)


def medians(name: str, unique_id: str) -> np.ndarray:
    found = odd_forecast(name)
    return found.loc[found["unique_id"] == unique_id, "0.5"].to_numpy()


@cache
def odd_series() -> pd.DataFrame:
    random = np.random.default_rng(7)
    whole, hours = known(), np.arange(HOURS)
    y = whole["y"].to_numpy()
    counts = random.poisson(y / 30).astype(float)
    changed = {
        "plain": y,
        "constant": np.full(HOURS, 7.5),
        "constant-below-zero": np.full(HOURS, -7.5),
        "zeros": np.zeros(HOURS),
        "counts": counts,
        "mostly-zero": np.where(random.random(HOURS) < 0.9, 0.0, counts),
        "once": np.where(hours == 300, 5.0, 0.0),
        "around-zero": y - 100,
        "below-zero": y - 1000,
        "tiny": y * 1e-9,
        "large": y * 1e9,
        "step": y * np.where(hours >= HOURS - 48, 3.0, 1.0),
        "bursts": np.where(hours % 97 == 0, 1e6, 0.0),
        "spike": np.where(hours == HOURS - 30, 1e6, y),
        "spike-at-the-end": np.where(hours == HOURS - 1, 1e6, y),
    }
    kept = {
        "gaps": random.random(HOURS) > 0.3,
        "no-day": (hours < 300) | (hours >= 324),
        "outage": (hours < 250) | (hours >= 330),
        "gap-at-the-end": hours < HOURS - 30,
        "gap-of-a-week-at-the-end": hours < HOURS - 170,
        "three-days": hours >= HOURS - 72,
    }
    parts = [whole.assign(unique_id=f"r/{name}/cpu", y=values) for name, values in changed.items()]
    parts += [whole[rows].assign(unique_id=f"r/{name}/cpu") for name, rows in kept.items()]
    parts.append(whole[kept["gaps"]].assign(unique_id="r/constant-with-gaps/cpu", y=3.0))
    return pd.concat(parts, ignore_index=True)


@cache
def odd_forecast(name: str) -> pd.DataFrame:
    return forecast(name, odd_series())


def pair() -> pd.DataFrame:
    """Two plain series of 15 days, which every candidate forecasts in a fraction of a second."""
    return pd.concat([known("r/one/cpu", days=15), known("r/two/cpu", days=15, seed=1)], ignore_index=True)


@cache
def fitted(name: str) -> Forecaster:
    """Fitted to `pair`. That forecasts leave it as it is, and so may share it, is tested below."""
    return made(name).fit(pair(), no_events(), UTC)


def assert_proper(found: pd.DataFrame, series: set[str], horizon: int = 72) -> None:
    """One row per series and hour from the issue time on, quantiles finite and in order."""
    assert list(found.columns) == ["unique_id", "ds", *LEVELS]
    assert found["ds"].dtype == pd.DatetimeTZDtype("us", "UTC")
    assert not found.duplicated(["unique_id", "ds"]).any()
    assert found.groupby("unique_id").size().to_dict() == dict.fromkeys(series, horizon)
    assert found["ds"].min() == CUTOFF
    assert found["ds"].max() == CUTOFF + (horizon - 1) * HOUR
    values = found[LEVELS].to_numpy()
    assert np.isfinite(values).all()
    assert (np.diff(values, axis=1) >= 0).all()


@pytest.mark.parametrize("name", EVERY)
def test_odd_series_get_whole_forecasts_with_finite_ordered_quantiles(name):
    assert_proper(odd_forecast(name), set(odd_series()["unique_id"]))


@pytest.mark.parametrize("name", EVERY)
def test_what_was_never_negative_stays_so_and_what_was_negative_may_be(name):
    found, history = odd_forecast(name), odd_series()
    negative = set(history.loc[history["y"] < 0, "unique_id"])
    assert (found.loc[~found["unique_id"].isin(negative), LEVELS] >= 0).all(axis=None)
    assert (medians(name, "r/below-zero/cpu") < -500).all()
    assert (found.loc[found["unique_id"] == "r/around-zero/cpu", "0.1"] < 0).any()


@pytest.mark.parametrize("name", EVERY)
def test_a_constant_series_repeats_its_value(name):
    assert medians(name, "r/constant/cpu") == pytest.approx(7.5, rel=1e-3)
    assert medians(name, "r/constant-with-gaps/cpu") == pytest.approx(3.0, rel=1e-3)
    assert medians(name, "r/constant-below-zero/cpu") == pytest.approx(-7.5, rel=1e-3)
    found = odd_forecast(name)
    assert found.loc[found["unique_id"] == "r/zeros/cpu", LEVELS].to_numpy() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("odd", ["gaps", "no-day", "outage", "gap-at-the-end", "three-days"])
def test_gaps_and_youth_leave_the_level_in_place(name, odd):
    """The series is the same rhythm around 95; the forecast may be rougher, not elsewhere."""
    assert medians(name, f"r/{odd}/cpu").mean() == pytest.approx(medians(name, "r/plain/cpu").mean(), rel=0.4)


@pytest.mark.parametrize("name", EVERY)
def test_a_level_that_shifted_puts_the_forecast_between_the_old_and_the_new(name):
    ratio = medians(name, "r/step/cpu").mean() / medians(name, "r/plain/cpu").mean()
    assert 0.9 < ratio < 3.3


@pytest.mark.parametrize("name", EVERY)
def test_no_forecast_leaves_the_range_of_its_history_by_more_than_three_ranges(name):
    history, found = odd_series().groupby("unique_id")["y"], odd_forecast(name).groupby("unique_id")[LEVELS]
    low, high = history.min(), history.max()
    reach = 3 * (high - low) + 0.01 * high.abs()
    assert (found.max().max(axis=1) <= high + reach).all()
    assert (found.min().min(axis=1) >= low - reach).all()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("horizon", [1, 100])
def test_any_horizon_is_served(name, horizon):
    found = fitted(name).predict_quantiles(recent(pair(), CUTOFF), no_events(), CUTOFF, horizon)
    assert_proper(found, {"r/one/cpu", "r/two/cpu"}, horizon)


@pytest.mark.parametrize("name", EVERY)
def test_a_series_of_three_days_alone_gets_a_whole_forecast_or_none(name):
    found = forecast(name, known(days=3))
    if len(found):
        assert_proper(found, {"r/edge/cpu"})
    assert len(found) or name in ("lightgbm", "gru")  # which have no training origin then


@pytest.mark.parametrize("name", EVERY)
def test_whole_numbers_are_numbers(name):
    counts = known(days=15).assign(y=lambda rows: rows["y"].round().astype("int64"))
    expected = forecast(name, counts.astype({"y": float}))
    pd.testing.assert_frame_equal(forecast(name, counts), expected, check_exact=True)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_at_or_after_the_issue_time_is_seen(name, monkeypatch):
    """Demand and announcements after the cutoff may be anything; demand before it matters."""
    monkeypatch.setattr("models.backtest.create", made)
    truth = rhythm(days=15)
    later = truth["ds"] >= CUTOFF
    announced = event_rows([CUTOFF - 75 * HOUR, CUTOFF - 27 * HOUR, CUTOFF + 20 * HOUR])
    late = event_rows([CUTOFF + 30 * HOUR], kind="surprise", known=CUTOFF + HOUR)
    moved = announced.assign(strength=9.0, available_at=CUTOFF + HOUR)
    random = np.random.default_rng(1)

    def quantiles(history: pd.DataFrame, events: pd.DataFrame) -> np.ndarray:
        return backtest([name], history, events, UTC, [CUTOFF])[LEVELS].to_numpy()

    shuffled = truth.assign(y=np.where(later, random.permutation(truth["y"]), truth["y"]))
    replaced = truth.assign(y=np.where(later, -1e9, truth["y"]))
    honest = quantiles(truth, announced)
    assert honest.shape == (72, len(LEVELS))
    np.testing.assert_array_equal(quantiles(shuffled, announced), honest)
    np.testing.assert_array_equal(quantiles(replaced, pd.concat([announced, moved, late], ignore_index=True)), honest)
    assert (quantiles(truth.assign(y=np.where(later, truth["y"], 2 * truth["y"])), announced) != honest).any()


@pytest.mark.parametrize("name", EVERY)
def test_a_fitted_candidate_that_is_handed_the_future_does_not_read_it(name):
    history, events = pair(), no_events()
    before = fitted(name).predict_quantiles(history, events, CUTOFF)
    future = pd.concat([rhythm(series, days=0) for series in history["unique_id"].unique()]).assign(y=1e9)
    found = fitted(name).predict_quantiles(pd.concat([history, future], ignore_index=True), events, CUTOFF)
    pd.testing.assert_frame_equal(found, before, check_exact=True)
    pd.testing.assert_frame_equal(fitted(name).predict_quantiles(history, events, CUTOFF), before, check_exact=True)


@pytest.mark.parametrize("name", EVERY)
def test_a_series_is_forecast_alone_as_among_others_and_in_any_order_of_rows(name):
    """A global candidate learns from all; what it forecasts of one does not depend on which are forecast with it, unless it looks at them."""
    history, events = pair(), no_events()
    untouched, learnt = history.copy(), fitted(name)
    together = learnt.predict_quantiles(history, events, CUTOFF)
    pd.testing.assert_frame_equal(history, untouched, check_exact=True)
    shuffled = learnt.predict_quantiles(history.sample(frac=1.0, random_state=3), events, CUTOFF)
    pd.testing.assert_frame_equal(shuffled, together, check_exact=True)
    single = history[history["unique_id"] == "r/two/cpu"]
    if name in LOCAL:
        learnt = made(name).fit(single, events, UTC)
    alone = learnt.predict_quantiles(single, events, CUTOFF)
    if name in LOOKING:
        assert_proper(alone, {"r/two/cpu"})
        return
    expected = together[together["unique_id"] == "r/two/cpu"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected, check_exact=name in LOCAL, rtol=1e-9)


def write_forecasts(folder: Path) -> None:
    """The forecast of `pair` by every candidate."""
    for name in EVERY:
        forecast(name, pair(), seed=5).to_parquet(folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def another_process(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `write_forecasts` wrote in a new process, with other hashes of texts."""
    folder = tmp_path_factory.mktemp("another-process")
    here = Path(__file__).parent
    code = f"import sys, pathlib; sys.path[:0] = {[str(here), str(here.parents[1])]}\n"
    code += f"from test_candidate_contract import write_forecasts; write_forecasts(pathlib.Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONHASHSEED": "11"}, timeout=300)
    return folder


@pytest.mark.parametrize("name", EVERY)
def test_the_same_arguments_give_the_same_numbers_in_every_process(name, another_process):
    np.random.seed(1)  # noqa: NPY002 -- the global generator is what must not matter
    first = forecast(name, pair(), seed=5)
    np.random.seed(2)  # noqa: NPY002 -- as above
    pd.testing.assert_frame_equal(forecast(name, pair(), seed=5), first, check_exact=True)
    pd.testing.assert_frame_equal(pd.read_parquet(another_process / f"{name}.parquet"), first, check_exact=True)


@pytest.mark.parametrize("name", EVERY[:-1])
def test_a_candidate_is_called_what_its_declaration_says(name):
    assert bare(name).name == name


def test_a_declaration_is_all_that_a_new_candidate_needs(monkeypatch):
    """The line in `models/candidates/__init__.py` puts it into `DECLARED`; budget, packaging and maker read it there."""
    declared = Declaration(UsualHour.name, lambda _seed, _tuning: UsualHour(), seconds=0.002, packages=("duckdb",))
    monkeypatch.setitem(DECLARED, UsualHour.name, declared)
    assert isinstance(bare(UsualHour.name), UsualHour)
    assert any(line.startswith("duckdb==") for line in requirements([UsualHour.name]))
    assert seconds_of([UsualHour.name], 500) == pytest.approx(1.0)
    clock = engine_clock(LongFrame(pair().assign(ds=lambda rows: rows["ds"].dt.tz_localize(None)), HOUR), 72)
    cheap, dear = affordable(clock, [1])
    assert UsualHour.name in cheap
    monkeypatch.setitem(DECLARED, UsualHour.name, replace(declared, seconds=0.2))
    assert UsualHour.name in affordable(clock, [1])[1]
    monkeypatch.setitem(DECLARED, UsualHour.name, replace(declared, packages=("no_such_package",)))
    assert affordable(clock, [1]) == ([name for name in cheap if name != UsualHour.name], dear)


@pytest.mark.parametrize(("seconds", "taken"), [(430.0, True), (700.0, False)])
def test_a_network_may_take_a_little_more_than_the_others_together(monkeypatch: pytest.MonkeyPatch, seconds: float, taken: bool):
    """Who installed it waits for it; what costs as much per series is left out."""
    learning = Declaration(
        "network", lambda _seed, _tuning: UsualHour(), pooled=True, seconds=0.0, seconds_per_fit=seconds, fewest_series=1
    )
    monkeypatch.setitem(DECLARED, "network", learning)
    monkeypatch.setitem(DECLARED, "other", replace(learning, name="other", fewest_series=0))
    clock = engine_clock(LongFrame(pair().assign(ds=lambda rows: rows["ds"].dt.tz_localize(None)), HOUR), 72)
    cheap, dear = affordable(clock, [1])
    assert ("network" in dear) is taken
    assert "other" not in (*cheap, *dear)


def test_the_candidates_worth_keeping_are_these():
    assert {name for name in EVERY[:-1] if isinstance(bare(name), StoredForecaster)} == set(STORED)


@pytest.mark.parametrize("name", STORED)
def test_a_kept_fit_forecasts_as_the_fit_it_was_saved_from(name, tmp_path):
    history, events = odd_series(), no_events()
    made(name).fit(history, events, UTC).save(tmp_path / "fit")
    loaded = made(name).load(tmp_path / "fit", UTC)
    found = loaded.predict_quantiles(recent(history, CUTOFF), events, CUTOFF)
    assert_proper(found, set(history["unique_id"]))
    pd.testing.assert_frame_equal(found, odd_forecast(name), check_exact=True)


@pytest.mark.parametrize("name", STORED)
def test_a_kept_fit_serves_a_series_that_it_never_saw(name):
    found = fitted(name).predict_quantiles(known("r/new/cpu", days=3), no_events(), CUTOFF)
    assert_proper(found, {"r/new/cpu"})
    assert found["0.5"].mean() == pytest.approx(100, rel=0.4)


class UsualDay:
    """In place of what statsforecast or Prophet would fit to one series: every hour of the day repeats its mean."""

    def __init__(self, filled: np.ndarray | None = None) -> None:
        self.mean = None if filled is None else fill_rows(filled[None]).reshape(-1, 24).mean(axis=0)

    def fit(self, past: pd.DataFrame, seed: int) -> None:
        self.mean = past["y"].groupby(past["ds"].dt.hour).mean().to_numpy()

    def predict(self, frame: pd.DataFrame | None = None, *, h: int = 0, level: list[float] | None = None) -> pd.DataFrame:
        if frame is not None:
            return pd.DataFrame({"yhat": self.mean[frame["ds"].dt.hour]})
        mean = self.mean[np.arange(h) % 24]
        return pd.DataFrame({"mean": mean, f"hi-{level[0]}": 1.1 * mean})


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_a_thousand_series_are_served(name, monkeypatch):
    """A week of each, to keep this to seconds. What remains of the cost is stubbed, so that all else runs on all of them:

    - the fit of one series by statsforecast or Prophet, which takes up to half a second;
    - rounds of LightGBM: five instead of fifty; steps of the network: see `made`.
    """
    monkeypatch.setattr(Statistical, "_fitted", lambda _self, filled: UsualDay(filled))
    monkeypatch.setattr(prophet_events, "_prophet", lambda *_, **__: UsualDay())
    monkeypatch.setattr(lightgbm_quantile, "_ROUNDS", 5)
    one, many = known(days=7), 1000
    random = np.random.default_rng(3)
    level, noise = random.lognormal(3, 2, many), random.normal(1, 0.1, (many, len(one)))
    names = [f"r/s{i:04d}/cpu" for i in range(many)]
    history = pd.DataFrame(
        {
            "unique_id": np.repeat(np.array(names, dtype=object), len(one)),
            "ds": np.tile(one["ds"].array, many),
            "y": (level[:, None] * one["y"].to_numpy() * noise).ravel(),
        }
    )
    found = forecast(name, history)
    assert_proper(found, set(names))
    usual = found.groupby("unique_id")["0.5"].mean().to_numpy()
    assert usual == pytest.approx(history.groupby("unique_id")["y"].mean().to_numpy(), rel=0.4)
