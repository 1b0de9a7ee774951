"""A small engine with the real one's contract: seasonal naives with a spread from their past errors, and their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from headroom.progress import Progress, SilentProgress
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.engine import BacktestResult, ForecastResult
from models.long_frame import LongFrame

__all__ = ["backtest_frame", "forecast_frame"]

SEASONS = {"seasonal-naive-24": 24, "seasonal-naive-168": 168}


def backtest_frame(
    series: LongFrame,
    *,
    horizon: int,
    windows: int,
    candidates: Sequence[str] = (),
    events: pd.DataFrame | None = None,
    future: pd.DataFrame | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    jobs: int = 1,
) -> BacktestResult:
    listener = progress or SilentProgress()
    grids, left_out = grids_of(series, horizon * windows)
    listener.start(len(grids) * windows, "backtest")
    parts = []
    for name, grid in grids.items():
        for back in range(windows, 0, -1):
            at = len(grid) - back * horizon
            parts.append(window(name, grid, at, horizon).assign(y=np.tile(grid.to_numpy()[at : at + horizon], len(SEASONS) + 1)))
            listener.advance(1, name)
    forecasts = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["unique_id", "candidate"])
    importance = pd.DataFrame({"feature": ["lag_168", "hour <of> day"], "share": [0.7, 0.3]})
    seconds = {"headroom": 2.0, "seasonal-naive-24": 0.5}
    return BacktestResult(forecasts, halves(forecasts), importance, seconds, left_out)


def forecast_frame(
    series: LongFrame,
    *,
    horizon: int,
    candidates: Sequence[str] = (),
    events: pd.DataFrame | None = None,
    future: pd.DataFrame | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    jobs: int = 1,
) -> ForecastResult:
    grids, left_out = grids_of(series, 0)
    parts = [window(name, grid, len(grid), horizon) for name, grid in grids.items()]
    forecasts = pd.concat(parts, ignore_index=True)
    final = forecasts[forecasts["candidate"] == "headroom"].drop(columns=["candidate", "cutoff"])
    return ForecastResult(final, halves(forecasts).drop(columns="cutoff"), left_out)


def grids_of(series: LongFrame, tested: int) -> tuple[dict[str, pd.Series], dict[str, str]]:
    """Every series without holes (NaN), and those too short for the longest season."""
    grids = {str(name): rows.set_index("ds")["y"].asfreq(series.step) for name, rows in series.rows.groupby("unique_id")}
    short = {name: f"{len(grid)} steps" for name, grid in grids.items() if len(grid) < tested + 2 * 168}
    return {name: grid for name, grid in grids.items() if name not in short}, short


def window(name: str, grid: pd.Series, at: int, horizon: int) -> pd.DataFrame:
    """Quantiles of all candidates for the `horizon` steps from position `at`, from what lies before it."""
    past = grid.to_numpy()[:at]
    step = grid.index[1] - grid.index[0]
    ds = grid.index[0] + step * (at + np.arange(horizon))
    made = {candidate: seasonal(past, season, horizon) for candidate, season in SEASONS.items()}
    made["headroom"] = np.mean([*made.values()], axis=0)
    frames = [
        pd.DataFrame(values, columns=list(QUANTILE_COLUMNS)).assign(unique_id=name, cutoff=ds[0], ds=ds, candidate=candidate)
        for candidate, values in made.items()
    ]
    return pd.concat(frames, ignore_index=True)


def seasonal(past: np.ndarray, season: int, horizon: int) -> np.ndarray:
    point = pd.Series(np.resize(past[-season:], horizon)).ffill().bfill().to_numpy()
    errors = past[season:] - past[:-season]
    return np.sort(point[:, None] + np.nanquantile(errors, QUANTILES), axis=1)


def halves(forecasts: pd.DataFrame) -> pd.DataFrame:
    windows = forecasts[["unique_id", "cutoff"]].drop_duplicates() if len(forecasts) else pd.DataFrame(columns=["unique_id", "cutoff"])
    return windows.merge(pd.DataFrame({"candidate": list(SEASONS), "weight": [0.25, 0.75]}), how="cross")
