"""Forecasters that ours is compared with, each as its library gives it: full history, default search, its own intervals.

A peer takes a recording and its cases, and gives quantiles of shape (cases, horizon, quantiles). Nothing is clipped or mended, but for
series that a library cannot forecast: they get the seasonal naive of 24 hours with normal intervals, and a line on the terminal says so.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from tests.benchmarks.recordings import HOUR, M4, Array, Case, Recording, event_columns

Peer = Callable[[Recording, list[Case]], Array]
AUTOGLUON = "AutoGluon"
FLAIR = "FLAIR"
# Central intervals whose ends are our quantiles other than the median.
LEVELS = [20, 40, 60, 80, 90, 98]
PATHS = 200
FIT_SECONDS = 150


def statsforecast_naive(season: int) -> Peer:
    """SeasonalNaive of statsforecast: normal intervals from the standard deviation of its errors in the history."""

    def peer(recording: Recording, cases: list[Case]) -> Array:
        return np.array([_naive(case.history, recording.horizon, season) for case in cases])

    return peer


def statsforecast_model(name: str) -> Peer:
    """MSTL(24, 168) or AutoETS(24) of statsforecast with their defaults."""

    def peer(recording: Recording, cases: list[Case]) -> Array:
        from statsforecast.models import MSTL, AutoETS

        def one(case: Case) -> Array:
            made = AutoETS(season_length=24) if name == "AutoETS" else MSTL(season_length=[24, 168])
            return _of_levels(made.forecast(y=case.history, h=recording.horizon, level=LEVELS))

        return _each(name, recording, cases, one)

    return peer


def flair(recording: Recording, cases: list[Case]) -> Array:
    """FLAIR's sample paths."""
    from flaircast import forecast

    def one(case: Case) -> Array:
        paths = forecast(case.history, recording.horizon, "H", n_samples=PATHS, seed=0)
        return np.quantile(paths, QUANTILES, axis=0).T

    return _each(FLAIR, recording, cases, one)


def prophet(recording: Recording, cases: list[Case]) -> Array:
    """Prophet with its defaults and samples of its own; events as regressors."""
    # On import prophet reports a missing plotly as an error; cmdstanpy tells of every run.
    for chatty in ("prophet.plot", "cmdstanpy"):
        logging.getLogger(chatty).addFilter(_silent)
    from prophet import Prophet

    def one(case: Case) -> Array:
        hours = pd.date_range(case.cutoff - case.history.size * HOUR, periods=case.history.size + recording.horizon, freq="h")
        frame = pd.DataFrame({"ds": hours})
        model = Prophet()
        if recording.events is not None:
            columns = event_columns(recording.events, hours)
            frame = frame.join(columns.reset_index(drop=True))
            for column in columns:
                model.add_regressor(column)
        model.fit(frame.iloc[: case.history.size].assign(y=case.history), seed=0)
        np.random.seed(0)  # noqa: NPY002 -- Prophet samples from numpy's global generator
        paths = model.predictive_samples(frame.iloc[case.history.size :])["yhat"]
        return np.quantile(paths, QUANTILES, axis=1).T

    return _each("Prophet", recording, cases, one)


def autogluon(python: Path) -> Peer:
    """AutoGluon in an environment of its own, see `tests/benchmarks/autogluon_peer.py`."""

    def peer(recording: Recording, cases: list[Case]) -> Array:
        with tempfile.TemporaryDirectory() as scratch:
            given, answer = Path(scratch) / "given.parquet", Path(scratch) / "answer.parquet"
            _as_rows(recording, cases).to_parquet(given, index=False)
            script = Path(__file__).with_name("autogluon_peer.py")
            command = [python, script, "--input", given, "--output", answer, "--horizon", recording.horizon, "--seconds", FIT_SECONDS]
            # It may use all cores, whatever ours was told.
            free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
            subprocess.run([str(part) for part in command], check=True, env=free, cwd=scratch)
            found = pd.read_parquet(answer).set_index(["window", "unique_id"]).sort_index()
        return np.array([found.loc[(case.window, case.unique_id), list(QUANTILE_COLUMNS)].to_numpy(dtype=float) for case in cases])

    return peer


# Cheap ones first; AutoGluon is added when there is an environment for it.
PEERS: dict[str, Peer] = {
    "naive-24, normal": statsforecast_naive(24),
    "naive-168, normal": statsforecast_naive(168),
    FLAIR: flair,
    "MSTL": statsforecast_model("MSTL"),
    "AutoETS": statsforecast_model("AutoETS"),
    "Prophet": prophet,
}


def _each(name: str, recording: Recording, cases: list[Case], one: Callable[[Case], Array]) -> Array:
    found = []
    for case in cases:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                quantiles = one(case)
        except Exception as error:  # noqa: BLE001 -- libraries raise plain ones too, and the table needs a row
            quantiles, why = np.full((recording.horizon, len(QUANTILES)), np.nan), f"{type(error).__name__}: {error}"
        else:
            why = "not finite"
        if not np.isfinite(quantiles).all():
            sys.stderr.write(f"{name} cannot forecast {recording.name} {case.unique_id} ({why}); seasonal naive instead\n")
            quantiles = _naive(case.history, recording.horizon, 24)
        found.append(quantiles)
    return np.array(found)


def _silent(_record: logging.LogRecord) -> bool:
    return False


def _naive(history: Array, horizon: int, season: int) -> Array:
    from statsforecast.models import SeasonalNaive

    return _of_levels(SeasonalNaive(season_length=season).forecast(y=history, h=horizon, level=LEVELS))


def _of_levels(found: dict[str, Any]) -> Array:
    lower = [found[f"lo-{level}"] for level in reversed(LEVELS)]
    return np.column_stack([*lower, found["mean"], *(found[f"hi-{level}"] for level in LEVELS)])


def _as_rows(recording: Recording, cases: list[Case]) -> pd.DataFrame:
    """`window, unique_id, ds, y`, the hours of the horizon without y, and columns that tell of events."""
    parts = []
    for case in cases:
        hours = pd.date_range(case.cutoff - case.history.size * HOUR, periods=case.history.size + recording.horizon, freq="h")
        y = np.concatenate([case.history, np.full(recording.horizon, np.nan)])
        part = pd.DataFrame({"window": case.window, "unique_id": case.unique_id, "ds": hours, "y": y})
        if recording.events is not None:
            part = part.join(event_columns(recording.events, hours).reset_index(drop=True))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def in_order(peer: str, names: list[str]) -> list[str]:
    """Recordings as a peer takes them: the dear one starts with the small ones."""
    small_first = ("fleet", "matches", "gpu_queues", "servers", "grid", M4)
    return sorted(names, key=small_first.index) if peer == AUTOGLUON else names
