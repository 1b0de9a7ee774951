"""The main job on the bundled traces, all by the scheduler: history in, a model trained, a day lived through, a retraining."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd
from rich.console import Console

from headroom.errors import UnavailableError
from headroom.issue_time import EVENT_KEY
from headroom.stack.airflow_api import AirflowApi, Run
from headroom.stack.progress import Stages

__all__ = ["DEMO", "DemoClock", "run_demo"]

_DAGS: Final = (
    "ingest_metrics",
    "ingest_events",
    "train_models",
    "score_forecasts",
    "allocate_capacity",
    "correct_capacity",
    "learn_from_usage",
    "replay",
    "compact_lake",
)
_TIMEOUT: Final = 600.0


@dataclass(frozen=True)
class DemoClock:
    """What the demo lives through.

    Attributes:
        history_start, history_end: recorded history that is imported and learnt from.
        step_hours, steps: the time after it, in this many steps.
        recording_end: the traces end here; the scheduler's own clock makes no runs after it.
    """

    history_start: pd.Timestamp
    history_end: pd.Timestamp
    step_hours: int
    steps: int
    recording_end: pd.Timestamp

    @property
    def moments(self) -> list[pd.Timestamp]:
        """Issue times after the history, in order."""
        return [self.history_end + pd.Timedelta(hours=self.step_hours * n) for n in range(1, self.steps + 1)]

    @property
    def end(self) -> pd.Timestamp:
        """The last issue time of the demo."""
        return self.moments[-1]


DEMO: Final = DemoClock(
    history_start=pd.Timestamp("2026-05-28T00:00:00Z"),
    history_end=pd.Timestamp("2026-07-08T00:00:00Z"),
    step_hours=12,
    steps=2,
    recording_end=pd.Timestamp("2026-07-27T00:00:00Z"),
)


def run_demo(api: AirflowApi, console: Console, clock: DemoClock = DEMO) -> None:
    """Run the loop through the scheduler, showing each stage; safe to repeat on the same state.

    Raises:
        RunFailedError: naming the failed task and its log.
        UnavailableError: when a run does not start or end in time, or a DAG file does not import.
    """
    stages = Stages(console)
    with stages.stage("DAGs parsed") as say:
        _wait_for_dags(api)
        api.ensure_pool("cloud_writes", 4, "Tasks that may change Google Cloud at the same time")
        # Scoring, learning and allocation sleep until there is a champion: an operator would switch them on then, too.
        for dag_id in _DAGS:
            api.set_paused(dag_id, paused=dag_id not in {"ingest_metrics", "ingest_events", "train_models", "replay"})
        say(f"{len(_DAGS)} DAGs")
    loop = _Loop(api)
    issue = clock.history_end
    with stages.stage("history ingested") as say:
        hours = int((clock.history_end - clock.history_start) / pd.Timedelta("1h"))
        events = loop.trigger("ingest_events", issue)
        metrics = loop.trigger("ingest_metrics", issue, hours=hours)
        loop.finish(metrics)
        loop.finish(events)
        say(f"{hours // 24} days to {issue:%Y-%m-%d %H:%M}")
    with stages.stage("models trained and selected") as say:
        loop.train(issue, say)
    with stages.stage("first forecast and allocation"):
        for dag_id in ("score_forecasts", "learn_from_usage", "allocate_capacity"):
            api.set_paused(dag_id, paused=False)
        loop.finish(loop.trigger("score_forecasts", issue))
        loop.follow("allocate_capacity", issue)
    for moment in clock.moments:
        with stages.stage(f"lived to {moment:%Y-%m-%d %H:%M}") as say:
            loop.finish(loop.trigger("ingest_metrics", moment, hours=clock.step_hours))
            loop.follow("score_forecasts", moment)
            loop.follow("allocate_capacity", moment)
            loop.follow("learn_from_usage", moment)
    with stages.stage("retrained on what was used") as say:
        loop.train(clock.end, say)
    with stages.stage("last forecast and allocation"):
        since = _now()
        loop.finish(loop.trigger("score_forecasts", clock.end))
        loop.follow("allocate_capacity", clock.end, since)


class _Loop:
    """Triggers runs and follows the ones that assets wake."""

    def __init__(self, api: AirflowApi) -> None:
        self._api = api
        self._since = _now()

    def trigger(self, dag_id: str, issue: pd.Timestamp, **conf: Any) -> Run:
        return self._api.trigger(dag_id, f"demo-{issue:%Y-%m-%dT%H}", issue.isoformat(), conf)

    def finish(self, run: Run, on_change: Callable[[str], None] | None = None) -> None:
        def current() -> Run:
            if on_change is not None:
                on_change(_doing(self._api.task_states(run)))
            return self._api.run(run.dag_id, run.run_id)

        self._api.wait(current, _TIMEOUT, f"{run.dag_id} {run.run_id}")

    def train(self, issue: pd.Timestamp, say: Callable[[str], None]) -> None:
        """Train, saying what is being done and, in the end, what came of it."""
        run = self.trigger("train_models", issue)
        self.finish(run, on_change=say)
        made = self._api.event_of(run)
        say(f"version {made['version']} {'is champion' if made['promoted'] else 'stays challenger'}: {made['reason']}")

    def follow(self, dag_id: str, issue: pd.Timestamp, since: str | None = None) -> None:
        """Wait for the newest run of `dag_id` that the asset event of `issue` woke since a moment (default: since the start)."""

        def current() -> Run | None:
            return next(iter(self._api.runs_of_event(dag_id, EVENT_KEY, issue.isoformat(), since or self._since)), None)

        self._api.wait(current, _TIMEOUT, f"{dag_id} for {issue:%Y-%m-%d %H:%M}")


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _wait_for_dags(api: AirflowApi) -> None:
    def known() -> Run | None:
        if errors := api.import_errors():
            raise UnavailableError("DAG files do not import:\n  " + "\n  ".join(errors))
        return Run("dags", "import", "success") if set(_DAGS) <= api.dag_ids() else None

    api.wait(known, 60, "parsing of the DAG files")


def _doing(states: dict[str, str]) -> str:
    done = sum(state == "success" for state in states.values())
    running = [name for name, state in states.items() if state == "running"]
    return f"{done} of {len(states)} tasks done" + (f"; now {', '.join(running)}" if running else "")
