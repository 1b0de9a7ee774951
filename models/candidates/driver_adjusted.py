"""A candidate that forecasts demand without the effect of events and readings, to which that effect is added back."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_HOURS, QUANTILE_COLUMNS, QUANTILES
from models.driver_effects import DriverEffects, Told
from models.driver_learning import learn_effects
from models.forecaster import Forecaster, SeriesCalendar, StoredForecaster, restored
from models.hourly_grid import Array, grid, places, training_grid, with_demand
from models.quantile_frame import lowest, quantile_frame, widened, within_reach
from models.shared_work import once
from models.visible_events import events_digest

__all__ = ["DriverAdjusted"]

# A kind of event may come once in a year, so effects are learnt on more than forecasts look at; but on no more numbers than this.
_LONGEST: Final = 5
_MOST_VALUES: Final = 3_000_000
# Share of an hour's demand that is left, whatever the effect: one that was learnt when demand was ten times as much would leave less than nothing,
# and below 0 no candidate knows a level or a logarithm.
_LEAST_LEFT: Final = 0.1


class DriverAdjusted:
    """Takes the effects of drivers (see `models.driver_effects`) off the history that the inner candidate is given, and adds them to its forecast.

    Half-widths of its intervals are joined with the uncertainty of the effect as independent errors are: sqrt(inner^2 + (z sd)^2).
    Without events it hands on the inner candidate's forecast as it is.
    """

    def __init__(self, inner: Forecaster) -> None:
        self.name = inner.name
        self.inner = inner
        self.effects: DriverEffects | None = None
        self._calendar = SeriesCalendar()

    def fit(self, history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar) -> Self:
        """Learn the effects, then fit the inner candidate on what is left without them."""
        self._calendar, self.effects, rhythm = calendar, None, calendar.rhythm
        if len(events) and len(history):
            most = max(rhythm.training, min(_LONGEST * rhythm.training, _MOST_VALUES // history["unique_id"].nunique()))
            names, values, end = training_grid(history, rhythm, most)
            self.effects = learn_effects(names, values, end, events, calendar)
            if self.effects is not None:
                history = _without(self.effects, history, (names, values), end, 0, events, calendar).history
        self.inner = self.inner.fit(history, events, calendar)
        return self

    def predict_quantiles(
        self, history: pd.DataFrame, events: pd.DataFrame, issue_time: pd.Timestamp, horizon: int = HORIZON_HOURS
    ) -> pd.DataFrame:
        rhythm = self._calendar.rhythm
        if self.effects is None or events.empty:
            return self.inner.predict_quantiles(history, events, issue_time, horizon)
        names, values = grid(history, issue_time, rhythm)
        told, rest = _without(self.effects, history, (names, values), issue_time, horizon, events, self._calendar)
        inner = self.inner.predict_quantiles(rest, events, issue_time, horizon)
        if told is None:
            return inner
        served = list(inner["unique_id"].unique())
        rows = places(names, served)
        quantiles = inner[list(QUANTILE_COLUMNS)].to_numpy(dtype=float).reshape(len(served), horizon, len(QUANTILES))
        moved = widened(quantiles, told.deviation[rows]) + told.effect[rows, values.shape[1] :, None]
        return quantile_frame(served, within_reach(moved, values[rows]), issue_time, lowest(values[rows]), rhythm.step)

    def save(self, folder: Path) -> None:
        """Write the effects, and the inner candidate's fit when it keeps one."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.effects is not None:
            self.effects.save(folder)
        else:
            DriverEffects.forget(folder)
        if isinstance(self.inner, StoredForecaster):
            self.inner.save(folder)

    def load(self, folder: Path, calendar: SeriesCalendar) -> Self:
        """Read what `save` wrote; a folder of the inner candidate alone has no effects."""
        self._calendar, self.effects = calendar, DriverEffects.load(folder)
        self.inner = restored(self.inner, folder, calendar)
        return self


class _Without(NamedTuple):
    """Effects, None where no row of the events concerns any series, and a history without them."""

    told: Told | None
    history: pd.DataFrame


def _without(
    effects: DriverEffects,
    history: pd.DataFrame,
    known: tuple[list[str], Array],
    end: pd.Timestamp,
    ahead: int,
    events: pd.DataFrame,
    calendar: SeriesCalendar,
) -> _Without:
    """`effects` at the steps of the grid `known` of `history` up to `end` and the `ahead` steps after them; candidates with the same effects share it."""
    names, values = known

    def found() -> _Without:
        told = effects.at(names, values, end, ahead, events, calendar)
        if told is None:
            return _Without(None, history)
        return _Without(told, _taken_off(history, names, values, told.effect[:, : values.shape[1]], end, calendar.rhythm.step))

    zones = frozenset(calendar.timezones.items())
    question = ("without drivers", effects.fingerprint, events_digest(events), values.shape, end, ahead, calendar.rhythm, zones)
    return once(history, question, found)


def _taken_off(
    history: pd.DataFrame, names: list[str], values: Array, effect: Array, end: pd.Timestamp, step: pd.Timedelta
) -> pd.DataFrame:
    """`history` without `effect` (series, steps up to `end`); rows before or after these steps stay as they are.

    Of a series that was never negative in `values` (as `effect`) a tenth of what was measured is left in every hour.
    """
    steps = effect.shape[1]
    column = ((history["ds"] - end) // step).to_numpy(dtype=np.int64) + steps
    row = pd.Index(names).get_indexer(pd.Index(history["unique_id"]))
    inside = (row >= 0) & (column >= 0) & (column < steps)
    off = np.where(inside, effect[row, np.clip(column, 0, steps - 1)], 0.0)
    y = history["y"].to_numpy(dtype=float)
    least = np.where(inside & (lowest(values)[row] == 0), _LEAST_LEFT * y, -np.inf)
    return with_demand(history, np.maximum(y - off, least))
