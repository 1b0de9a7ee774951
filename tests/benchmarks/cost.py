"""Measure 4: what forecasts of many series cost, in CPU time and memory, beside AutoETS on the same series.

The series are recorded ones, changed: the demand of 13 grid regions in a year, cut into pieces of 60 days that start at random, and the 48
signals of servers, whose six whole weeks are repeated to 60 days from a random day on. Each is multiplied by a level of its own, a slow
walk of the level (2 % a day), and noise (3 % an hour). They cost what real ones cost; how well they are forecast says nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from models.calibration import ALL_SERIES, Calibration
from models.candidates import CANDIDATES, DEFAULT_CANDIDATES
from models.demand_model import DemandModel
from models.forecaster import SeriesCalendar
from models.long_frame import LongFrame, read_long_frame
from models.rhythm import Rhythm
from tests.benchmarks.meter import Meter
from tests.benchmarks.recordings import HOUR

DAYS = 60
HORIZON = 72
SIZES = (100, 300, 1000)
LARGE = 5000
FULL = 1000
SAMPLED = 24
WEEK = 168
START = pd.Timestamp("2026-01-05")
CORES = 2
FINE = "5-minute steps, 3 h"
FINE_STEP = pd.Timedelta(minutes=5)
FINE_HORIZON = 36
FINE_DAYS = 16
# What a fitted model of the re-forecasts weighs alike.
MIXED = ("seasonal-naive-24", "seasonal-naive-168", "seasonal-ridge", "exponential-smoothing", "lightgbm", "flair")


def many_series(folder: Path, count: int, seed: int = 0) -> LongFrame:
    """`count` hourly series of `DAYS` days, half from each recording."""
    random = np.random.default_rng(seed)
    hours = DAYS * 24
    grid, servers = _matrix(folder / "grid.parquet"), _matrix(folder / "servers.parquet")
    rows = []
    for number in range(count):
        if number % 2:
            piece = servers[(number // 2) % len(servers)][: 6 * WEEK]
            row = np.resize(np.roll(piece, -24 * int(random.integers(0, piece.size // 24))), hours)
        else:
            start = 24 * int(random.integers(0, (grid.shape[1] - hours) // 24))
            row = grid[(number // 2) % len(grid)][start : start + hours]
        walk = np.repeat(np.cumsum(random.normal(0, 0.02, DAYS)), 24)
        rows.append(row * np.exp(random.normal(0, 0.5) + walk + random.normal(0, 0.03, hours)))
    names = [f"region{number % 10}/service{number // 20}/{('cpu', 'bandwidth')[number // 10 % 2]}" for number in range(count)]
    ds = pd.date_range(START, periods=hours, freq="h", unit="us")
    frame = pd.DataFrame({"unique_id": np.repeat(names, hours), "ds": np.tile(ds, count), "y": np.concatenate(rows)})
    return LongFrame(frame.sort_values(["unique_id", "ds"], ignore_index=True), HOUR)


def fine_series(folder: Path, count: int) -> pd.DataFrame:
    """The last `FINE_DAYS` of `many_series` at 5-minute steps: straight lines between hours, and noise (2 % a step)."""
    hourly = many_series(folder, count).rows.pivot(index="ds", columns="unique_id", values="y").iloc[-24 * FINE_DAYS :]
    steps = round(HOUR / FINE_STEP)
    at = np.arange(len(hourly) * steps) / steps
    lines = np.stack([np.interp(at, np.arange(len(hourly)), column) for column in hourly.to_numpy().T])
    noisy = lines * np.exp(np.random.default_rng(1).normal(0, 0.02, lines.shape))
    ds = pd.date_range(hourly.index[0], periods=at.size, freq=FINE_STEP, unit="us")
    names = np.repeat(hourly.columns.to_numpy(dtype=object), at.size)
    return pd.DataFrame({"unique_id": names, "ds": np.tile(ds, count), "y": noisy.ravel()})


def run_cost(folder: Path, *, large: bool) -> dict[str, pd.DataFrame]:
    """Train, select, calibrate and forecast: `whole` of 1,000 series with what the time budget chooses, `growth` of several numbers of series with
    the same candidates; `peer`: AutoETS; `again`: forecasts of a fitted model.
    """
    sizes = (*SIZES, LARGE) if large else SIZES
    return {
        "whole": pd.DataFrame([_apart(forecast_all, folder, FULL)]),
        "growth": pd.DataFrame([_apart(forecast_with_the_same, folder, size) for size in sizes]),
        "peer": pd.DataFrame([_apart(auto_ets, folder, SAMPLED)]),
        "again": pd.DataFrame([row for measure in (again_hourly, again_fine) for row in _apart(measure, folder, FULL)]),
    }


class Heard:
    """Remembers what a calculation says it ran."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def start(self, total: int, what: str) -> None:
        sys.stderr.write(f"{what}: {total} steps\n")

    def advance(self, steps: int = 1, what: str = "") -> None:
        self.names.add(what.split(",")[0])


def forecast_with_the_same(folder: Path, count: int) -> dict[str, object]:
    """`forecast_all` with the candidates of a training, whatever the time budget says of them."""
    return forecast_all(folder, count, DEFAULT_CANDIDATES)


def forecast_all(folder: Path, count: int, candidates: Sequence[str] = ()) -> dict[str, object]:
    """One call of `forecast_frame` with a process per core, metered."""
    from models.engine import forecast_frame

    series, heard = many_series(folder, count), Heard()
    with Meter() as meter:
        result = forecast_frame(series, horizon=HORIZON, candidates=candidates, progress=heard, jobs=CORES)
    used = asdict(meter.usage)
    return {
        "series": count,
        **used,
        "forecast": int(result.forecasts["unique_id"].nunique()),
        "candidates": ", ".join(name for name in CANDIDATES if name in heard.names),
    }


def auto_ets(folder: Path, count: int) -> dict[str, object]:
    """AutoETS of statsforecast, full search, on series spread evenly over the same thousand; fit and forecast."""
    from statsforecast.models import AutoETS

    every = many_series(folder, FULL).rows.groupby("unique_id")["y"]
    chosen = [values.to_numpy() for number, (_, values) in enumerate(every) if number % (FULL // count) == 0][:count]
    with Meter() as meter:
        for values in chosen:
            AutoETS(season_length=24).forecast(y=values, h=HORIZON, level=[80, 98])
    each = meter.usage.cpu_seconds / len(chosen)
    return {"sampled": len(chosen), "cpu_seconds": meter.usage.cpu_seconds, "per_series": each, "per_thousand": 1000 * each}


def again_hourly(folder: Path, count: int) -> list[dict[str, object]]:
    """Of a model that was fitted a day before: 72 hours, with and without what is refitted."""
    return [_again(many_series(folder, count).rows, Rhythm(HOUR, HORIZON), "hourly, 72 h", refit=refit) for refit in (True, False)]


def again_fine(folder: Path, count: int) -> list[dict[str, object]]:
    """Of a model that was fitted a day before: 15 minutes to 3 hours at 5-minute steps."""
    return [_again(fine_series(folder, count), Rhythm(FINE_STEP, FINE_HORIZON), FINE, refit=False)]


def _again(rows: pd.DataFrame, rhythm: Rhythm, name: str, *, refit: bool) -> dict[str, object]:
    """One `DemandModel.predict` from the newest step: history in memory to calibrated quantiles, the second of two calls."""
    rows = rows.assign(ds=rows["ds"].dt.tz_localize("UTC"))
    end = rows["ds"].max() + rhythm.step
    names = [name for name in MIXED if refit or name != "flair"]
    weights = {series: dict.fromkeys(names, 1.0 / len(names)) for series in rows["unique_id"].unique()}
    offsets = [{"unique_id": ALL_SERIES, "bucket": "1-6", "quantile": level, "offset": 0.1, "rows": 9} for level in ("0.1", "0.9")]
    fitted_at = end - rhythm.day * rhythm.step
    model = DemandModel.fit(
        rows,
        _no_events(),
        SeriesCalendar(rhythm=rhythm),
        weights=weights,
        calibration=Calibration(pd.DataFrame(offsets)),
        issue_time=fitted_at,
    )
    model.predict(rows, _no_events(), end, rhythm.horizon, refit=refit)  # libraries are loaded once, not by every forecast
    with Meter() as meter:
        found = model.predict(rows, _no_events(), end, rhythm.horizon, refit=refit)
    used, served = meter.usage, int(found["unique_id"].nunique())
    what = f"{name}, {'all candidates' if refit else 'without refit'}"
    return {"what": what, "series": served, "wall_seconds": used.wall_seconds, "cpu_seconds": used.cpu_seconds, "peak_gib": used.peak_gib}


def whole_table(whole: pd.DataFrame, *, told: bool) -> pd.DataFrame:
    """Costs by number of series; `told` which candidates ran."""
    named = {"wall_seconds": "wall s", "cpu_seconds": "CPU s", "peak_gib": "most memory GiB", "threads": "most threads"}
    table = whole[["series", "forecast", *named, *(["candidates"] if told else [])]].rename(columns=named)
    table.insert(5, "CPU ms per series", 1000 * table["CPU s"] / table["series"])
    table.insert(6, "CPU / wall", table["CPU s"] / table["wall s"])
    return table.round({"wall s": 0, "CPU s": 0, "CPU ms per series": 0, "CPU / wall": 2, "most memory GiB": 2})


def peer_table(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    peer, ours = found["peer"].iloc[0], _full(found)
    return pd.DataFrame(
        [
            {"forecaster": "headroom", "series measured": FULL, "CPU s per 1,000": round(ours["cpu_seconds"])},
            {"forecaster": "AutoETS(24)", "series measured": int(peer["sampled"]), "CPU s per 1,000": round(peer["per_thousand"])},
        ]
    )


def again_table(again: pd.DataFrame) -> pd.DataFrame:
    named = {"what": "forecast", "series": "series", "wall_seconds": "wall s", "cpu_seconds": "CPU s", "peak_gib": "most memory GiB"}
    table = again[list(named)].rename(columns=named)
    table["series per s"] = table["series"] / table["wall s"]
    table["series per CPU s"] = table["series"] / table["CPU s"]
    return table.round({"wall s": 2, "CPU s": 2, "most memory GiB": 2, "series per s": 0, "series per CPU s": 0})


def bars(found: dict[str, pd.DataFrame]) -> list[tuple[str, str, float, bool]]:
    """(measure, bar, measured, met)."""
    ours, peer, again = _full(found), found["peer"].iloc[0], found["again"].set_index("what")
    share = ours["cpu_seconds"] / peer["per_thousand"]
    slope = exponent(found["growth"])
    warm, fine = again.loc["hourly, 72 h, without refit"], again.loc[f"{FINE}, without refit", "wall_seconds"]
    per_second = warm["series"] / warm["wall_seconds"]
    return [
        ("1,000 series x 60 days, wall minutes", "at most 10", ours["wall_seconds"] / 60, ours["wall_seconds"] <= 600),
        ("1,000 series x 60 days, most memory GiB", "at most 6", ours["peak_gib"], ours["peak_gib"] <= 6),
        ("CPU time / AutoETS", "at most 0.2", share, share <= 0.2),
        ("re-forecast without refit, series per second", "at least 500", per_second, per_second >= 500),
        ("re-forecast of 1,000 series at 5-minute steps, seconds", "at most 2", fine, fine <= 2),
        ("CPU time of the same candidates ~ series to the power of", "at most 1.1", slope, slope <= 1.1),
    ]


def exponent(growth: pd.DataFrame) -> float:
    """The exponent b of CPU seconds = a series^b: 1 is linear, below 1 there are costs that do not grow."""
    return float(np.polyfit(np.log(growth["series"].to_numpy(float)), np.log(growth["cpu_seconds"].to_numpy(float)), 1)[0])


def draw_cost(found: dict[str, pd.DataFrame], path: Path) -> None:
    """CPU time by number of series, and a line for AutoETS."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    panel = figure.subplots()
    whole = found["growth"]
    panel.loglog(whole["series"], whole["cpu_seconds"], marker="o", color="#1f4e79", label="headroom: train, select, calibrate, forecast")
    each = found["peer"].iloc[0]["per_series"]
    panel.loglog(whole["series"], each * whole["series"], color="#c55a11", label=f"AutoETS(24), {each:.2f} s a series")
    panel.loglog(whole["series"], 0.2 * each * whole["series"], color="#c55a11", linestyle=":", label="a fifth of it")
    panel.set_xticks(whole["series"], [f"{count:,}" for count in whole["series"]])
    panel.minorticks_off()
    panel.set(xlabel="series of 60 days", ylabel="CPU seconds")
    panel.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=90)


def _full(found: dict[str, pd.DataFrame]) -> pd.Series:
    return found["whole"].iloc[0]


def _matrix(path: Path) -> np.ndarray:
    rows = read_long_frame(path).rows
    return rows.pivot(index="unique_id", columns="ds", values="y").interpolate(axis=1, limit_direction="both").to_numpy(dtype=float)


def _no_events() -> pd.DataFrame:
    from headroom.schemas import TABLES

    return TABLES["events"].schema.empty_table().to_pandas().drop(columns="day")


def _apart(measure: Callable[[Path, int], object], folder: Path, count: int) -> object:
    """In a new process, so that the memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(measure, folder, count).result()
    sys.stderr.write(f"{measure.__name__}, {count} series: {found}\n")
    return found
