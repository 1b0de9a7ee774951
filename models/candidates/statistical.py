"""AutoARIMA, AutoETS, MSTL, Theta and CES of statsforecast, each within what an hourly series can afford."""

from __future__ import annotations

import warnings
from statistics import NormalDist
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILES
from models.candidates.declaration import Declaration
from models.candidates.per_series import forecast_each
from models.forecaster import SeriesCalendar
from models.hourly_grid import Array, grid
from models.quantile_frame import lowest, quantile_frame
from models.rhythm import HOURLY

__all__ = ["STATISTICAL", "Statistical"]

_STEPS_OF_DEVIATION: Final = np.array([NormalDist().inv_cdf(q) for q in QUANTILES])
# Smooth every third or fifth hour and interpolate: a third of the time, the same decomposition to the eye.
_JUMPS: Final = {"seasonal_jump": 3, "low_pass_jump": 3, "trend_jump": 5}
# CES filters with a season of up to this many steps; a day of more costs seconds per series, and is decomposed.
_LONGEST_SEASON: Final = 48
# A level from which the standard deviation of a forecast can be read: one deviation to each side.
_ONE_DEVIATION: Final = 100 * (2 * NormalDist().cdf(1.0) - 1)


class Statistical:
    """A statistical model per series, refitted on the history that a forecast is given.

    - `auto-arima`: AutoARIMA without season on what remains after a decomposition into day and week. With season 24 a
      series costs two minutes, so 0.1 to 0.3 s. Fourier terms instead of the decomposition cost three to eight times as much, and
      were worse on five of six recordings.
    - `auto-ets`: additive error and season (a day), the better by AICc of no trend and a damped one. Multiplicative
      errors explode on zeros, an undamped trend over 72 hours.
    - `mstl`: day and week seasons repeated, and simple exponential smoothing for the rest.
    - `theta`: the dynamic optimised theta model (Fiorucci et al. 2016) for the rest of the same decomposition. With seasons of its own it is
      worse everywhere but on queues, and its additive ones run away.
    - `auto-ces`: complex exponential smoothing (Svetunkov, Kourentzes and Ord 2022) with the day as its season, the best by AICc.

    Quantiles are normal around the mean, with the model's own deviation.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._rhythm = HOURLY

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:  # noqa: ARG002 -- the protocol's arguments
        self._rhythm = calendar.rhythm
        return self

    def predict_quantiles(
        self,
        history: pd.DataFrame,
        events: pd.DataFrame,  # noqa: ARG002 -- the protocol's argument
        issue_time: pd.Timestamp,
        horizon: int = HORIZON_HOURS,
    ) -> pd.DataFrame:
        names, values = grid(history, issue_time, self._rhythm)
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
            # The search over orders tries some that explode or do not converge, and drops them.
            warnings.filterwarnings("ignore", message="possible convergence problem", category=UserWarning)
            quantiles = forecast_each(self.name, names, values, horizon, self._one, self._rhythm.day)
        return quantile_frame(names, quantiles, issue_time, lowest(values), self._rhythm.step)

    def _one(self, _name: str, filled: Array, horizon: int) -> Array:
        fitted = self._fitted(filled)
        found = fitted.predict(h=horizon, level=[_ONE_DEVIATION])
        mean = np.asarray(found["mean"], dtype=float)
        deviation = np.asarray(found[f"hi-{_ONE_DEVIATION}"], dtype=float) - mean
        quantiles: Array = mean[:, None] + deviation[:, None] * _STEPS_OF_DEVIATION
        return quantiles

    def _fitted(self, filled: Array) -> Any:
        from statsforecast.models import MSTL, AutoCES, AutoETS

        day, week = self._rhythm.day, self._rhythm.week
        if self.name == "auto-ets":
            season = day if day > 1 else week  # a day that is one step has no shape of its own
            tried = [AutoETS(season, model="ANA").fit(filled), AutoETS(season, model="AAA", damped=True).fit(filled)]
            return min(tried, key=lambda fitted: float(fitted.model_["aicc"]))
        if self.name == "auto-ces" and 1 < day <= _LONGEST_SEASON:
            return AutoCES(day).fit(filled)
        seasons = [season for season in (day, week) if season > 1 and filled.size >= 2 * season]
        return MSTL(seasons, trend_forecaster=self._of_the_rest(), stl_kwargs=_JUMPS).fit(filled)

    def _of_the_rest(self) -> Any:
        """The model without season that continues what a decomposition leaves."""
        from statsforecast.models import AutoARIMA, AutoCES, AutoETS, DynamicOptimizedTheta

        if self.name == "auto-arima":
            return AutoARIMA(seasonal=False, approximation=True, max_p=2, max_q=1, max_d=1)
        if self.name == "theta":
            return DynamicOptimizedTheta()
        return AutoCES(model="N") if self.name == "auto-ces" else AutoETS(model="ANN")


def _declared(name: str, seconds: float | None = None) -> Declaration:
    return Declaration(name, lambda _seed, _tuning: Statistical(name), seconds=seconds, packages=("statsforecast",))


STATISTICAL: Final = (
    _declared("auto-arima"),
    _declared("auto-ets", 0.3),
    _declared("mstl", 0.12),
    _declared("theta", 0.2),
    _declared("auto-ces", 0.6),
)
