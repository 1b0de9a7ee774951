"""Prophet per series, with events and readings as regressors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILES
from models.candidates.declaration import Declaration
from models.candidates.per_series import forecast_each
from models.event_features import driver_hours, driver_kinds, event_hours, event_kinds
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, grid
from models.quantile_frame import lowest, quantile_frame
from models.tuning.arms import ARMS, DEFAULT_ARM, Tuning
from models.visible_events import events_of_series

__all__ = ["PROPHET", "ProphetEvents"]

# An event's pull before it starts and after it ends fades by a factor e in this many hours.
_FADE_HOURS: Final = 2.0


class ProphetEvents:
    """Prophet with daily and weekly seasons; a regressor per kind of event during, before and after it, and one per reading.

    Public holidays are events too. Refitted on the history that a forecast is given. Quantiles are those of the residuals of
    the fit around the point forecast, which costs no sampling and is the same in every process. Of a series' tuning it takes the flexibility
    of the trend.
    """

    def __init__(self, seed: int = 0, tuning: Mapping[str, Tuning] | None = None) -> None:
        self.name = "prophet"
        self.seed = seed
        self._tuning = tuning or {}
        self._calendar = SeriesCalendar()

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:  # noqa: ARG002 -- the protocol's arguments
        self._calendar = calendar
        return self

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        rhythm = self._calendar.rhythm
        names, values = grid(history, issue_time, rhythm)
        hours = pd.date_range(end=issue_time + (horizon - 1) * rhythm.step, periods=rhythm.context + horizon, freq=rhythm.step)
        measured = dict(zip(names, values, strict=True))

        def one(name: str, filled: Array, ahead: int) -> Array:  # Prophet bears gaps, so the measured hours are fitted
            regressors = _regressors(events_of_series(events, name), hours, filled.size + ahead, rhythm.step)
            model = partial(_prophet, weekly=filled.size >= 2 * rhythm.week, flexibility=self._flexibility(name))
            return _forecast(measured[name][-filled.size :], hours[-filled.size - ahead :], regressors, self.seed, model)

        quantiles = forecast_each(self.name, names, values, horizon, one, rhythm.day)
        return quantile_frame(names, quantiles, issue_time, lowest(values), rhythm.step)

    def _flexibility(self, series: str) -> float:
        return self._tuning.get(series, ARMS[DEFAULT_ARM]).changepoint_prior_scale


def _regressors(events: pd.DataFrame, hours: pd.DatetimeIndex, length: int, step: pd.Timedelta) -> pd.DataFrame:
    """Columns of the last `length` steps; one that does not vary is left out."""
    hours = hours[-length:]
    kinds, drivers = event_kinds(events), driver_kinds(events)
    near = event_hours(events, kinds, hours, step)
    near[:, 1::3], near[:, 2::3] = np.exp(-near[:, 1::3] / _FADE_HOURS), np.exp(-near[:, 2::3] / _FADE_HOURS)
    readings = pd.DataFrame(driver_hours(events, drivers, hours, step))
    columns = np.hstack([near, readings.fillna(readings.mean()).fillna(0.0).to_numpy()])
    return pd.DataFrame(columns, columns=[f"r{i}" for i in range(columns.shape[1])])


def _forecast(
    values: Array, hours: pd.DatetimeIndex, regressors: pd.DataFrame, seed: int, new_model: Callable[[Sequence[str]], Any]
) -> Array:
    frame = regressors.assign(ds=hours.tz_localize(None))
    past, future = frame.iloc[: values.size].assign(y=values), frame.iloc[values.size :]
    past = past[np.isfinite(past["y"])]
    used = [name for name in regressors.columns if np.ptp(past[name]) > 0]
    model = new_model(used)
    model.fit(past, seed=seed)
    fitted = model.predict(past)["yhat"].to_numpy()
    errors = np.quantile(past["y"].to_numpy() - fitted, QUANTILES)
    quantiles: Array = model.predict(future)["yhat"].to_numpy()[:, None] + errors
    return quantiles


def _prophet(regressors: Sequence[str], *, weekly: bool, flexibility: float) -> Any:
    # On import prophet reports a missing plotly as an error. cmdstanpy reports every run of the optimiser, and one that stopped early as an
    # error; prophet then says itself that it takes Newton's method, and raises when that fails too.
    logging.getLogger("prophet.plot").addFilter(_not_about_plotly)
    logging.getLogger("cmdstanpy").addFilter(_not_about_a_chain)
    from prophet import Prophet

    model = Prophet(
        n_changepoints=8,
        changepoint_prior_scale=flexibility,
        daily_seasonality=10,
        weekly_seasonality=3 if weekly else False,
        yearly_seasonality=False,
        uncertainty_samples=0,
    )
    for name in regressors:
        model.add_regressor(name)
    return model


def _not_about_plotly(record: logging.LogRecord) -> bool:
    return "plotly" not in record.getMessage()


def _not_about_a_chain(record: logging.LogRecord) -> bool:
    return "Chain [" not in record.getMessage()


PROPHET: Final = Declaration("prophet", ProphetEvents, packages=("prophet",))
