"""The plan of one training: what it may know, its backtest windows and its shards, written down before any work starts.

A training is spread over processes and may be killed in any of them. All of them read the same frozen data from the plan's folder,
and everything they write carries the plan's digest, so a retry continues and a changed plan starts anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as installed
from pathlib import Path
from typing import Final, get_args

import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS
from models.anomaly_doubt import with_doubts
from models.candidates import CANDIDATES, DEFAULT_CANDIDATES, GLOBAL_CANDIDATES, LOCAL_CANDIDATES, NAIVES
from models.forecaster import SeriesCalendar
from models.gate import PromoteMode
from models.rhythm import HOURLY
from models.tuning.arms import Tuning, TuningChoice
from models.visible_events import events_known_at

__all__ = ["GLOBAL_SHARD", "Shard", "TrainingOptions", "TrainingPlan", "load_plan", "make_plan", "write_atomically"]

GLOBAL_SHARD: Final = "global"
_HOUR: Final = pd.Timedelta("1h")


@dataclass(frozen=True)
class TrainingOptions:
    """What a person may choose about a training.

    Attributes:
        history_days: days of history before the issue time.
        candidates: models to weigh; the seasonal naives are always among them.
        shards: parallel shards of series for the per-series models.
        promote: auto (the gate decides), review (a person decides), never.
        windows: backtest windows of 72 hours; fewer when the history is short.
        calibration_windows: how many of them, at most half, judge and calibrate instead of selecting (see `models.backtest.split_windows`).
    """

    history_days: int = 41
    candidates: Sequence[str] = DEFAULT_CANDIDATES
    shards: int = 2
    promote: PromoteMode = "auto"
    windows: int = 6
    calibration_windows: int = 3

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.candidates) - set(CANDIDATES)):
            raise BadInputError(f"training: candidate {unknown[0]!r} is unknown; known: {', '.join(CANDIDATES)}")
        if self.promote not in get_args(PromoteMode):
            raise BadInputError(f"training: promote {self.promote!r} is not one of {', '.join(get_args(PromoteMode))}")
        if self.shards < 1:
            raise BadInputError(f"training: {self.shards} shards; use 1 or more")
        if not 0 < self.calibration_windows < self.windows:
            raise BadInputError(
                f"training: {self.calibration_windows} of {self.windows} windows calibrate; leave one or more of each to select and to calibrate"
            )

    @property
    def chosen_candidates(self) -> list[str]:
        """The candidates in a stable order, the naives among them."""
        return [name for name in CANDIDATES if name in {*self.candidates, *NAIVES}]


@dataclass(frozen=True)
class Shard:
    """Candidates to backtest on some series."""

    candidates: list[str]
    series: list[str]


@dataclass(frozen=True)
class TrainingPlan:
    """See `make_plan`. `folder` holds plan.json, history.parquet and events.parquet.

    Attributes:
        digest: of the data and of every choice; what is computed for another digest is not used.
        data_digest: of history and events alone.
        cutoffs: of the backtest, oldest first.
        shards: name -> what it does, in the order to run.
        missing: series of the settings without any history, which this training leaves out.
        tuning: unique_id -> what the tuner chose for it; a series that is not listed takes the defaults.
    """

    folder: Path
    run_id: str
    issue_time: pd.Timestamp
    history_start: pd.Timestamp
    digest: str
    data_digest: str
    cutoffs: list[pd.Timestamp]
    shards: dict[str, Shard]
    options: TrainingOptions
    timezones: dict[str, str]
    missing: list[str] = field(default_factory=list)
    tuning: dict[str, TuningChoice] = field(default_factory=dict)

    @property
    def calendar(self) -> SeriesCalendar:
        return SeriesCalendar(self.timezones)

    @property
    def parameters(self) -> dict[str, Tuning]:
        """unique_id -> parameters of its forecasts, of the series that were tuned."""
        return {series: choice.tuning for series, choice in self.tuning.items()}

    @property
    def weight_shrinkage(self) -> dict[str, float]:
        """unique_id -> shrinkage of its ensemble weights, of the series that were tuned."""
        return {series: choice.tuning.weight_shrinkage for series, choice in self.tuning.items()}

    def history(self) -> pd.DataFrame:
        """`unique_id, ds, y` as known at the issue time, and from when on a row is doubted (see `models.anomaly_doubt`)."""
        return pd.read_parquet(self.folder / "history.parquet")

    def events(self) -> pd.DataFrame:
        """Every version of the events known at the issue time."""
        return pd.read_parquet(self.folder / "events.parquet")

    def path(self, name: str, suffix: str = "") -> Path:
        """Where something computed for exactly this plan goes."""
        return self.folder / f"{name}-{self.digest[:12]}{suffix}"


def make_plan(
    folder: Path,
    *,
    run_id: str,
    issue_time: pd.Timestamp,
    history: pd.DataFrame,
    events: pd.DataFrame,
    series: Sequence[str],
    calendar: SeriesCalendar,
    options: TrainingOptions,
    tuning: Mapping[str, TuningChoice] | None = None,
) -> TrainingPlan:
    """Write the plan and its data; the same arguments find the plan that is there, with what its shards have done.

    Args:
        folder: of this training; made when absent.
        history: `unique_id, ds, y`, known at the issue time.
        events: all versions known at the issue time.
        series: ids that the settings ask for.
        tuning: unique_id -> what the tuner chose for it.

    Raises:
        BadInputError: when no series has enough history for two backtest windows.
    """
    trained = sorted(set(history["unique_id"]))
    cutoffs = _cutoffs(history, issue_time, options)
    data_digest = _digest_of(history) + _digest_of(events)
    choices = {**asdict(options), "candidates": options.chosen_candidates, "promote": ""}  # how to promote changes no number
    code = installed("headroom")  # another version may compute otherwise
    tuned = dict(tuning or {})
    asked = {series: asdict(choice) for series, choice in tuned.items()}
    told = json.dumps([code, run_id, issue_time.isoformat(), data_digest, choices, dict(calendar.timezones), asked], sort_keys=True)
    plan = TrainingPlan(
        folder=folder,
        run_id=run_id,
        issue_time=issue_time,
        history_start=history["ds"].min(),
        digest=hashlib.sha256(told.encode()).hexdigest(),
        data_digest=hashlib.sha256(data_digest.encode()).hexdigest(),
        cutoffs=cutoffs,
        shards=_shards(trained, options),
        options=options,
        timezones={name: zone for name, zone in calendar.timezones.items() if name in set(trained)},
        missing=sorted(set(series) - set(trained)),
        tuning=tuned,
    )
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_written(folder, plan.digest):
        write_atomically(folder / "history.parquet", with_doubts(history, events_known_at(events, issue_time)))
        write_atomically(folder / "events.parquet", events)
    _write_json(folder / "plan.json", plan)
    return plan


def load_plan(folder: Path) -> TrainingPlan:
    """Read the plan of a training.

    Raises:
        BadInputError: when there is none.
    """
    file = folder / "plan.json"
    if not file.is_file():
        raise BadInputError(f"{folder}: no plan.json; run the planning step of the training first")
    told = json.loads(file.read_text(encoding="utf-8"))
    return TrainingPlan(
        **{
            **told,
            "folder": folder,
            "issue_time": pd.Timestamp(told["issue_time"]),
            "history_start": pd.Timestamp(told["history_start"]),
            "cutoffs": [pd.Timestamp(cutoff) for cutoff in told["cutoffs"]],
            "shards": {name: Shard(**shard) for name, shard in told["shards"].items()},
            "options": TrainingOptions(**told["options"]),
            "tuning": {series: TuningChoice(choice["arm"], Tuning(**choice["tuning"])) for series, choice in told["tuning"].items()},
        }
    )


def folder_name(run_id: str) -> str:
    """A run id as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", run_id)


def write_atomically(path: Path, frame: pd.DataFrame) -> None:
    """Write Parquet so that a reader finds the whole file or none."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    frame.to_parquet(partial, index=False)
    partial.replace(path)


def _cutoffs(history: pd.DataFrame, issue_time: pd.Timestamp, options: TrainingOptions) -> list[pd.Timestamp]:
    """As many windows as the longest history allows, two at least, each with enough history before it."""
    from models.backtest import backtest_cutoffs

    least = 2
    hours = int((issue_time - history["ds"].min()) / _HOUR) if len(history) else 0
    windows = min(options.windows, (hours - HOURLY.shortest) // HORIZON_HOURS)
    if windows < least:
        needed = HOURLY.shortest + least * HORIZON_HOURS
        raise BadInputError(
            f"training at {issue_time.isoformat()}: the longest history is {hours} hours, {needed} are needed ({least} windows of {HORIZON_HOURS} "
            f"hours after {HOURLY.shortest}); ingest an earlier window, or train later"
        )
    return backtest_cutoffs(issue_time, windows)


def _shards(series: list[str], options: TrainingOptions) -> dict[str, Shard]:
    """Series dealt out in turn: neighbours in the alphabet are alike, and so cost alike."""
    local = [name for name in options.chosen_candidates if name in LOCAL_CANDIDATES]
    shared = [name for name in options.chosen_candidates if name in GLOBAL_CANDIDATES]
    count = min(options.shards, len(series))
    # The global shard takes longest, so it starts first.
    shards = {GLOBAL_SHARD: Shard(shared, series)} if shared else {}
    return {**shards, **{f"local-{n}": Shard(local, series[n::count]) for n in range(count)}}


def _digest_of(frame: pd.DataFrame) -> str:
    hashed = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(hashed.tobytes() + ",".join(map(str, frame.columns)).encode()).hexdigest()


def _is_written(folder: Path, digest: str) -> bool:
    file = folder / "plan.json"
    return file.is_file() and json.loads(file.read_text(encoding="utf-8"))["digest"] == digest


def _write_json(path: Path, plan: TrainingPlan) -> None:
    told = asdict(plan) | {"options": {**asdict(plan.options), "candidates": list(plan.options.candidates)}}
    del told["folder"]
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(told, indent=2, default=lambda stamp: stamp.isoformat()) + "\n", encoding="utf-8")
    partial.replace(path)
