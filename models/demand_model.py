"""The fitted whole that forecasts every series: candidates and their weights, their fits, and the calibration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS, QUANTILE_COLUMNS
from models.calibration import OFFSET_COLUMNS, Calibration
from models.candidates import DECLARED, NAIVES, bare, create
from models.ensemble import blend, describe
from models.forecaster import Forecaster, SeriesCalendar, StoredForecaster, restored, unfitted
from models.hourly_grid import numbered, recent, unservable
from models.rhythm import Rhythm, hours_ahead
from models.shared_work import SharedWork, once
from models.tuning.arms import Tuning
from models.visible_events import events_known_at

__all__ = ["FORECAST_COLUMNS", "DemandModel"]

FORECAST_COLUMNS: Final = ("unique_id", "ds", "horizon", *QUANTILE_COLUMNS, "candidate")
_FORMAT: Final = 2


@dataclass(frozen=True)
class DemandModel:
    """A trained model; `fit` makes one, `save` and `load` keep it as plain files.

    Attributes:
        weights: unique_id -> candidate -> weight in the ensemble that forecasts it.
        calendar: local time of the series.
        calibration: offsets that `predict` applies.
        train_start: first hour of the history it learnt from.
        train_end: first hour after it.
        seed: of every candidate.
        fitted: the candidates in use.
        tuning: unique_id -> parameters that its candidates were told; series that are not listed have the defaults.
    """

    weights: Mapping[str, Mapping[str, float]]
    calendar: SeriesCalendar
    calibration: Calibration
    train_start: pd.Timestamp
    train_end: pd.Timestamp
    seed: int
    fitted: Mapping[str, Forecaster]
    tuning: Mapping[str, Tuning] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        history: pd.DataFrame,
        events: pd.DataFrame,
        calendar: SeriesCalendar,
        *,
        weights: Mapping[str, Mapping[str, float]],
        calibration: Calibration,
        issue_time: pd.Timestamp,
        seed: int = 0,
        tuning: Mapping[str, Tuning] | None = None,
    ) -> Self:
        """Fit the weighed candidates on all history before `issue_time`, with the events known by then.

        Raises:
            BadInputError: when there is no history before the issue time.
        """
        seen = _by_number(history[history["ds"] < issue_time])
        if seen.empty:
            raise BadInputError(f"no history before {issue_time.isoformat()}: ingest metrics first, or train at a later issue time")
        known = events_known_at(events, issue_time)
        usable = seen[~seen["unique_id"].isin(list(unservable(seen, issue_time, calendar.rhythm)))]
        fitted = {name: create(name, seed=seed, tuning=tuning).fit(usable, known, calendar) for name in _candidates(weights)}
        return cls(dict(weights), calendar, calibration, seen["ds"].min(), issue_time, seed, fitted, dict(tuning or {}))

    def unservable(self, history: pd.DataFrame, issue_time: pd.Timestamp) -> dict[str, str]:
        """Series that `predict` leaves out, with the reason: too little history, or not seen in training."""
        trained, given = set(self.weights), set(history["unique_id"].unique())
        reasons = unservable(history[history["ds"] < issue_time], issue_time, self.calendar.rhythm)
        reasons |= dict.fromkeys(trained - given, "no history")
        reasons |= dict.fromkeys(given - trained, "not among the series the model was trained on")
        return dict(sorted((str(series), reason) for series, reason in reasons.items()))

    def predict(
        self,
        history: pd.DataFrame,
        events: pd.DataFrame,
        issue_time: pd.Timestamp,
        horizon: int = HORIZON_HOURS,
        *,
        refit: bool = True,
    ) -> pd.DataFrame:
        """Calibrated quantiles (`FORECAST_COLUMNS`) of every series that can be served, sorted by series and step.

        Only history within the context (`Rhythm.context`, four weeks of hours) before the issue time and events known by then are used,
        whatever is handed in. The same arguments give the same numbers in every process, which makes a backfill equal to the live run.

        Args:
            refit: with False only candidates that keep their fit, and the naives, forecast; the weights of the others are shared out among
                them. Nothing is fitted then: a correction of the next steps of a thousand series takes seconds. A series whose weights all
                lie on others is forecast by all that keep their fit alike.
        """
        if history.empty:
            return pd.DataFrame(columns=list(FORECAST_COLUMNS))
        rhythm = self.calendar.rhythm
        issue_time = issue_time.as_unit(history["ds"].dt.unit)  # or calculations with both would convert all times
        seen, known = _by_number(recent(history, issue_time, rhythm)), events_known_at(events, issue_time)
        weights = self.weights if refit else _without_refit(self.weights)
        with SharedWork():
            every = self._candidate_rows(seen, known, issue_time, horizon, weights)
        if every.empty:
            return pd.DataFrame(columns=list(FORECAST_COLUMNS))
        raw = blend(every, _table(weights))
        hours = hours_ahead(raw["ds"], issue_time, rhythm)
        told = {series: describe(mix) for series, mix in weights.items()}
        raw = raw.assign(horizon=hours.astype("int32"), candidate=raw["unique_id"].map(told))
        return self.calibration.apply(raw)[list(FORECAST_COLUMNS)]

    def _candidate_rows(
        self,
        seen: pd.DataFrame,
        events: pd.DataFrame,
        issue_time: pd.Timestamp,
        horizon: int,
        weights: Mapping[str, Mapping[str, float]],
    ) -> pd.DataFrame:
        """`unique_id, ds, *QUANTILE_COLUMNS, candidate`, of every candidate the series that it has a weight for."""
        given, unable = set(seen["unique_id"].cat.categories), unservable(seen, issue_time, self.calendar.rhythm)
        served = [series for series in weights if series in given and series not in unable]
        parts = {}
        for name in _candidates(weights):
            own = tuple(series for series in served if name in weights[series])
            if own:
                # What learns from all series may look at the others in a forecast, too; rows without weight are of no consequence.
                read = tuple(served) if DECLARED[name].pooled else own
                rows = seen if len(read) == len(given) else once(seen, read, partial(_rows_of, seen, read))
                forecaster = self.fitted.get(name) or unfitted(create(name, seed=self.seed, tuning=self.tuning), self.calendar)
                parts[name] = forecaster.predict_quantiles(rows, events, issue_time, horizon)
        if not parts:
            return pd.DataFrame()
        every = pd.concat(parts.values(), ignore_index=True)
        every["candidate"] = np.repeat(np.array(list(parts), dtype=object), [len(part) for part in parts.values()])
        return every

    def save(self, folder: Path) -> None:
        """Write the model as JSON, Parquet and LightGBM text files; what was in the files of an earlier save is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        self.calibration.offsets.to_parquet(folder / "calibration.parquet", index=False)
        for name, forecaster in self.fitted.items():
            if isinstance(forecaster, StoredForecaster):
                forecaster.save(folder / name)
        facts = {
            "format": _FORMAT,
            "weights": {series: dict(mix) for series, mix in self.weights.items()},
            "timezones": dict(self.calendar.timezones),
            "train_start": self.train_start.isoformat(),
            "train_end": self.train_end.isoformat(),
            "seed": self.seed,
            "step_seconds": self.calendar.rhythm.step.total_seconds(),
            "horizon": self.calendar.rhythm.horizon,
            "tuning": {series: asdict(parameters) for series, parameters in self.tuning.items()},
        }
        (folder / "model.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BadInputError: when the folder holds no model, or one of another format.
        """
        file = folder / "model.json"
        if not file.is_file():
            raise BadInputError(f"{folder}: no model.json; point to a folder written by DemandModel.save")
        facts = json.loads(file.read_text(encoding="utf-8"))
        if facts["format"] != _FORMAT:
            raise BadInputError(f"{file}: format {facts['format']}, this version reads {_FORMAT}; train again")
        # Models saved before there were other steps are hourly.
        rhythm = Rhythm(pd.Timedelta(seconds=facts.get("step_seconds", 3600)), facts.get("horizon", HORIZON_HOURS))
        calendar = SeriesCalendar(facts["timezones"], rhythm=rhythm)
        tuning = {series: Tuning(**parameters) for series, parameters in facts.get("tuning", {}).items()}
        fitted = {
            name: restored(create(name, seed=facts["seed"], tuning=tuning), folder / name, calendar)
            for name in _candidates(facts["weights"])
        }
        offsets = pd.read_parquet(folder / "calibration.parquet")[list(OFFSET_COLUMNS)]
        return cls(
            weights=facts["weights"],
            calendar=calendar,
            calibration=Calibration(offsets),
            train_start=pd.Timestamp(facts["train_start"]),
            train_end=pd.Timestamp(facts["train_end"]),
            seed=facts["seed"],
            fitted=fitted,
            tuning=tuning,
        )


def _by_number(history: pd.DataFrame) -> pd.DataFrame:
    """Series told by numbers with names: millions of strings are looked at once, not by every candidate."""
    rows = history.copy(deep=False)
    rows["unique_id"] = numbered(rows["unique_id"])
    return rows


def _rows_of(rows: pd.DataFrame, series: Sequence[str]) -> pd.DataFrame:
    return rows[rows["unique_id"].isin(series)]


def _candidates(weights: Mapping[str, Mapping[str, float]]) -> list[str]:
    return sorted({name for mix in weights.values() for name in mix})


def _without_refit(weights: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The weights of candidates that forecast without a fit of their own to the newest history, adding up to 1."""
    ready = [name for name in _candidates(weights) if name in NAIVES or isinstance(bare(name), StoredForecaster)] or [NAIVES[0]]
    kept = {series: {name: share for name, share in mix.items() if name in ready and share > 0} for series, mix in weights.items()}
    mixes = {series: mix or dict.fromkeys(ready, 1.0) for series, mix in kept.items()}
    return {series: {name: share / sum(mix.values()) for name, share in mix.items()} for series, mix in mixes.items()}


def _table(weights: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """The weights as `models.ensemble` has them."""
    names = _candidates(weights)
    rows = [[mix.get(name, 0.0) for name in names] for mix in weights.values()]
    return pd.DataFrame(rows, index=pd.Index(list(weights), name="unique_id", dtype=object), columns=names, dtype=float)
