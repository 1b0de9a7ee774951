"""The few calls of Airflow's REST API that the embedded stack needs: pools, pausing, triggering and watching runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from headroom.errors import HeadroomError, UnavailableError

__all__ = ["AirflowApi", "Run", "RunFailedError", "password_of"]

_ENDED: Final = {"success", "failed"}


@dataclass(frozen=True)
class Run:
    """One DAG run."""

    dag_id: str
    run_id: str
    state: str


class RunFailedError(HeadroomError):
    """A DAG run failed; the message names its failed tasks and their logs."""


def password_of(airflow_home: Path, user: str = "admin") -> str:
    """The password that Airflow generated for `user` on its first start.

    Raises:
        UnavailableError: when this installation's Airflow has never started.
    """
    path = airflow_home / "simple_auth_manager_passwords.json.generated"
    if not path.is_file():
        raise UnavailableError(f"{path} does not exist: this Airflow has never started, or another installation answers on its port")
    return str(json.loads(path.read_text())[user])


class AirflowApi:
    """A client of one Airflow API server, logged in."""

    def __init__(self, address: str, airflow_home: Path) -> None:
        self._address, self._home = address, airflow_home
        self._session = requests.Session()
        self._session.trust_env = False
        # Airflow closes the connection after an error of its own. Every call here may be repeated: triggering a run that
        # exists runs it again under the same id.
        retries = Retry(total=5, connect=5, read=5, status=0, backoff_factor=0.2, allowed_methods=None)
        self._session.mount("http://", HTTPAdapter(max_retries=retries))
        token = self._call("POST", "/auth/token", json={"username": "admin", "password": password_of(airflow_home)})["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Create a pool unless it exists; a person's change of its size is kept."""
        if name not in self.pools():
            self._call("POST", "/api/v2/pools", json={"name": name, "slots": slots, "description": description, "include_deferred": False})

    def pools(self) -> set[str]:
        return {pool["name"] for pool in self._call("GET", "/api/v2/pools", params={"limit": 100})["pools"]}

    def connections(self) -> set[str]:
        return {found["connection_id"] for found in self._call("GET", "/api/v2/connections", params={"limit": 100})["connections"]}

    def dag_ids(self) -> set[str]:
        return {dag["dag_id"] for dag in self._call("GET", "/api/v2/dags", params={"limit": 100})["dags"]}

    def import_errors(self) -> list[str]:
        errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{e['filename']}: {e['stack_trace'].strip().splitlines()[-1]}" for e in errors]

    def set_paused(self, dag_id: str, paused: bool) -> None:
        self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": paused})

    def trigger(self, dag_id: str, run_id: str, logical_date: str, conf: Mapping[str, Any]) -> Run:
        """Start a run, or run it again when one with this id or logical date exists."""
        body = {"dag_run_id": run_id, "logical_date": logical_date, "conf": dict(conf)}
        response = self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        if response.status_code != requests.codes.conflict:
            self._check(response)
            return self.run(dag_id, run_id)
        self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/clear", json={"dry_run": False, "only_failed": False})
        return self.run(dag_id, run_id)

    def run(self, dag_id: str, run_id: str) -> Run:
        found = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        return Run(dag_id, run_id, found["state"])

    def runs_of_event(self, dag_id: str, event_key: str, event_value: str, since: str) -> list[Run]:
        """Runs of `dag_id` queued since a moment and woken by an asset event that carries `event_key: event_value`."""
        params = {"run_after_gte": since, "order_by": "-run_after", "limit": 20}
        found = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=params)["dag_runs"]
        woken = [run for run in found if run["run_type"] == "asset_triggered"]
        return [
            Run(dag_id, run["dag_run_id"], run["state"])
            for run in woken
            if any(e["extra"].get(event_key) == event_value for e in self._upstream_events(dag_id, run["dag_run_id"]))
        ]

    def event_of(self, run: Run) -> dict[str, Any]:
        """What the newest asset event of a run carries."""
        params = {"source_dag_id": run.dag_id, "source_run_id": run.run_id, "order_by": "-timestamp", "limit": 1}
        extra: dict[str, Any] = self._call("GET", "/api/v2/assets/events", params=params)["asset_events"][0]["extra"]
        return extra

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Answer a task that waits for a person."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self._call("PATCH", path, json={"chosen_options": [option], "params_input": {}})

    def wait(self, current: Callable[[], Run | None], timeout: float, what: str) -> Run:
        """Poll until the run has ended.

        Raises:
            RunFailedError: when it failed.
            UnavailableError: when it did not end (or start) in time.
        """
        deadline = time.monotonic() + timeout
        run = current()
        while run is None or run.state not in _ENDED:
            if time.monotonic() > deadline:
                seen = "was not started" if run is None else f"is still {run.state}"
                raise UnavailableError(
                    f"{what} {seen} after {timeout:.0f} s; look at {self._address} and the logs in {self._home / 'logs'}"
                )
            time.sleep(0.3)
            run = current()
        if run.state == "failed":
            raise RunFailedError(self._why_failed(run))
        return run

    def task_states(self, run: Run) -> dict[str, str]:
        """Task (with its map index) -> state."""
        tasks = self._call("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances")["task_instances"]
        return {_task_name(task): str(task["state"]) for task in tasks}

    def _upstream_events(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        response = self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents")
        if response.status_code == requests.codes.server_error:
            return []  # Airflow 3.3 cannot show an event as long as one of the runs that it woke has not started: ask again
        self._check(response)
        events: list[dict[str, Any]] = response.json()["asset_events"]
        return events

    def _why_failed(self, run: Run) -> str:
        tasks = self._call("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances")["task_instances"]
        failed = [task for task in tasks if task["state"] == "failed"]
        folder = self._home / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}"
        lines = [f"DAG {run.dag_id}, run {run.run_id} failed"]
        for task in failed:
            mapped = f"/map_index={task['map_index']}" if task["map_index"] >= 0 else ""
            log = folder / f"task_id={task['task_id']}{mapped}" / f"attempt={task['try_number']}.log"
            lines.append(f"  task {_task_name(task)}: {_last_error(log)}\n    log: {log}")
        return "\n".join(lines)

    def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        response = self._send(method, path, **kwargs)
        self._check(response)
        return response.json() if response.content else {}

    def _send(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        try:
            return self._session.request(method, f"{self._address}{path}", timeout=30, **kwargs)
        except requests.RequestException as error:
            raise UnavailableError(
                f"Airflow at {self._address} does not answer ({type(error).__name__}); its log is airflow-api-server.log"
            ) from error

    def _check(self, response: requests.Response) -> None:
        if not response.ok:
            raise UnavailableError(
                f"Airflow refused {response.request.method} {response.request.path_url}: {response.status_code} {response.text[:300]}"
            )


def _task_name(task: Mapping[str, Any]) -> str:
    return str(task["task_id"]) if task["map_index"] < 0 else f"{task['task_id']}[{task.get('rendered_map_index') or task['map_index']}]"


def _last_error(log: Path) -> str:
    """The last error that a task's JSON-lines log holds, in one line."""
    if not log.exists():
        return "no log was written"
    for line in reversed(log.read_text(errors="replace").splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("level") in {"error", "critical"}:
            details = entry.get("error_detail") or [{}]
            message = f"{details[0].get('exc_type', '')}: {details[0].get('exc_value', '')}".strip(": ")
            return message or str(entry.get("event"))
    return "see the log"
