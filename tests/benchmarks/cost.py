"""Measure 4: what forecasts of many series cost, in CPU time and memory, beside AutoETS on the same series.

The series are recorded ones, changed: the demand of 13 grid regions in a year, cut into pieces of 60 days that start at random, and the 48
signals of servers, whose six whole weeks are repeated to 60 days from a random day on. Each is multiplied by a level of its own, a slow
walk of the level (2 % a day), and noise (3 % an hour). They cost what real ones cost; how well they are forecast says nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from models.candidates import CANDIDATES, bare, create
from models.forecaster import SeriesCalendar, StoredForecaster
from models.hourly_grid import recent
from models.long_frame import LongFrame, read_long_frame
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


def run_cost(folder: Path, *, large: bool) -> dict[str, pd.DataFrame]:
    """`whole`: train, select, calibrate and forecast, by number of series; `peer`: AutoETS; `again`: forecasts without refit."""
    sizes = (*SIZES, LARGE) if large else SIZES
    whole = pd.DataFrame([_apart(forecast_all, folder, size) for size in sizes])
    return {
        "whole": whole,
        "peer": pd.DataFrame([_apart(auto_ets, folder, SAMPLED)]),
        "again": pd.DataFrame(_apart(reforecast, folder, FULL)),
    }


class Heard:
    """Remembers what a calculation says it ran."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def start(self, total: int, what: str) -> None:
        sys.stderr.write(f"{what}: {total} steps\n")

    def advance(self, steps: int = 1, what: str = "") -> None:
        self.names.add(what.split(",")[0])


def forecast_all(folder: Path, count: int) -> dict[str, object]:
    """One call of `forecast_frame`, metered."""
    from models.engine import forecast_frame

    series, heard = many_series(folder, count), Heard()
    with Meter() as meter:
        result = forecast_frame(series, horizon=HORIZON, progress=heard)
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


def reforecast(folder: Path, count: int) -> list[dict[str, object]]:
    """Series per second of every candidate that keeps its fit: fitted on all but the last day, then forecasts from the newest hour."""
    rows = many_series(folder, count).rows
    rows = rows.assign(ds=rows["ds"].dt.tz_localize("UTC"))
    end = rows["ds"].max() + HOUR
    nothing = _no_events()
    found = []
    for name in CANDIDATES:
        forecaster = create(name)
        if not isinstance(bare(name), StoredForecaster):
            continue
        forecaster.fit(rows[rows["ds"] < end - 24 * HOUR], nothing, SeriesCalendar())
        known = recent(rows, end)
        wall = time.perf_counter()
        with Meter() as meter:
            forecaster.predict_quantiles(known, nothing, end, HORIZON)
        wall = time.perf_counter() - wall
        cpu = meter.usage.cpu_seconds
        found.append({"candidate": name, "wall_seconds": wall, "cpu_seconds": cpu, "per_wall": count / wall, "per_cpu": count / cpu})
    return found


def whole_table(whole: pd.DataFrame) -> pd.DataFrame:
    named = {"wall_seconds": "wall s", "cpu_seconds": "CPU s", "peak_gib": "most memory GiB", "threads": "most threads"}
    table = whole[["series", "forecast", *named, "candidates"]].rename(columns=named)
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
    named = {
        "candidate": "candidate",
        "wall_seconds": "wall s",
        "cpu_seconds": "CPU s",
        "per_wall": "series per s",
        "per_cpu": "series per CPU s",
    }
    return again[list(named)].rename(columns=named).round({"wall s": 2, "CPU s": 2, "series per s": 0, "series per CPU s": 0})


def bars(found: dict[str, pd.DataFrame]) -> list[tuple[str, str, float, bool]]:
    """(measure, bar, measured, met)."""
    ours, peer = _full(found), found["peer"].iloc[0]
    share = ours["cpu_seconds"] / peer["per_thousand"]
    slope = growth(found["whole"])
    return [
        ("1,000 series x 60 days, wall minutes", "at most 10", ours["wall_seconds"] / 60, ours["wall_seconds"] <= 600),
        ("1,000 series x 60 days, most memory GiB", "at most 6", ours["peak_gib"], ours["peak_gib"] <= 6),
        ("CPU time / AutoETS", "at most 0.2", share, share <= 0.2),
        (
            "re-forecast, series per second, slowest fit",
            "at least 500",
            found["again"]["per_wall"].min(),
            found["again"]["per_wall"].min() >= 500,
        ),
        ("cost ~ series to the power of", "at most 1.1", slope, slope <= 1.1),
    ]


def growth(whole: pd.DataFrame) -> float:
    """The exponent b of CPU seconds = a series^b: 1 is linear, below 1 there are costs that do not grow."""
    return float(np.polyfit(np.log(whole["series"].to_numpy(float)), np.log(whole["cpu_seconds"].to_numpy(float)), 1)[0])


def draw_cost(found: dict[str, pd.DataFrame], path: Path) -> None:
    """CPU time by number of series, and a line for AutoETS."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    panel = figure.subplots()
    whole = found["whole"]
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
    return found["whole"].set_index("series").loc[FULL]


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
