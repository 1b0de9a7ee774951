"""A ridge regression of the next days on the last two weeks, pooled over all series (scikit-learn): milliseconds per series."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS
from models.candidates.declaration import Declaration
from models.forecaster import SeriesCalendar
from models.hourly_grid import fill_rows, grid, training_grid
from models.lag_features import Index
from models.log_scale import LogScale
from models.quantile_frame import lowest, no_quantiles, quantile_frame, within_reach
from models.rhythm import HOURLY, Rhythm
from models.window_regression import WindowFit, block_of, fit_windows, windows

__all__ = ["WINDOW_RIDGE", "WindowRidge"]


class WindowRidge:
    """Learns how the whole shape of the last two weeks leads on (see `models.window_regression`), where others weigh a few lags.

    A history too short to learn from gives the last day, with errors of its usual change. Beyond the horizon it was trained for it
    repeats the last day that it forecast.
    """

    def __init__(self, seed: int = 0) -> None:
        self.name = "window-ridge"
        self.seed = seed
        self.fitted: WindowFit | None = None
        self._rhythm = HOURLY

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:  # noqa: ARG002 -- the protocol's arguments
        rhythm = self._rhythm = calendar.rhythm
        names, values, _ = training_grid(history, rhythm)
        self.fitted = fit_windows(names, values, rhythm) if names else None
        return self

    def predict_quantiles(
        self,
        history: pd.DataFrame,
        events: pd.DataFrame,  # noqa: ARG002 -- the protocol's argument
        issue_time: pd.Timestamp,
        horizon: int = HORIZON_HOURS,
    ) -> pd.DataFrame:
        rhythm = self._rhythm
        names, values = grid(history, issue_time, rhythm)
        if not names or self.fitted is None:
            return no_quantiles(issue_time)
        scale = LogScale.of(values)
        series, origins = np.arange(len(names)), np.full(len(names), rhythm.context)
        told = windows(fill_rows(scale.to(values), rhythm.day), series, origins, rhythm)
        point = told.anchor + told.swing[:, None] * (told.inputs @ self.fitted.weights)
        errors = self.fitted.errors[self.fitted.rows(names)][:, block_of(np.arange(1, rhythm.horizon + 1), rhythm)]
        logged = (point[:, :, None] + told.change[:, None, None] * errors)[:, _places(horizon, rhythm)]
        quantiles = scale.back(logged.transpose(2, 0, 1)).transpose(1, 2, 0)
        return quantile_frame(names, within_reach(quantiles, values), issue_time, lowest(values), rhythm.step)

    def save(self, folder: Path) -> None:
        """Write `windows.npz`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.fitted is not None:
            names = np.array(self.fitted.names, dtype=str)
            np.savez(folder / "windows.npz", names=names, weights=self.fitted.weights, errors=self.fitted.errors)

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote."""
        self._rhythm, self.fitted = calendar.rhythm, None
        if (folder / "windows.npz").exists():
            with np.load(folder / "windows.npz", allow_pickle=False) as told:
                self.fitted = WindowFit(tuple(map(str, told["names"])), told["weights"], told["errors"])
        return self


def _places(horizon: int, rhythm: Rhythm) -> Index:
    """Which forecast step serves each of the steps 1 ... horizon; those beyond the last one go back by whole days."""
    step = np.arange(horizon)
    back = step - rhythm.day * -(-np.maximum(step - (rhythm.horizon - 1), 0) // rhythm.day)
    found: Index = np.where(back >= 0, back, rhythm.horizon - 1)
    return found


WINDOW_RIDGE: Final = Declaration("window-ridge", lambda seed, _tuning: WindowRidge(seed), pooled=True)
