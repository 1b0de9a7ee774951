"""The checks behind `headroom doctor`: what is wrong with an installation, and how to mend it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from headroom.errors import HeadroomError
from headroom.home import Home
from headroom.settings import Settings, load_settings

__all__ = ["Finding", "examine"]

_DISK_GIB: Final = 2


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        subject: what was looked at.
        ok: whether it is as it should be.
        detail: what was seen.
        remedy: what to do when it is not.
        needed: False when Headroom works without it (the stack is down, say).
    """

    subject: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True


def examine(home: Home | None = None) -> list[Finding]:
    """Run every check; none of them changes anything."""
    home = home or Home.from_environment()
    findings = [_python(), _disk(home)]
    try:
        settings = load_settings(home.capacity_file)
    except HeadroomError as error:
        return [*findings, Finding("settings", False, str(error), f"edit {home.capacity_file}")]
    findings.append(Finding("settings", True, f"{home.capacity_file}: {len(settings.series)} series in {len(settings.regions)} regions"))
    findings.append(Finding("self-tuning", True, f"{settings.forecasting.tuning} (forecasting.tuning)"))
    for check in (_names, _quotas, _sources, _calendars, _lake, _database, _mlflow, _airflow, _cloud):
        findings.extend(check(home, settings))
    return findings


def _names(home: Home, settings: Settings) -> Iterator[Finding]:
    from infra.settings_check import wrong_names

    problems = wrong_names(settings)
    for words in problems:
        yield Finding("names", False, words, f"edit {home.capacity_file}")
    if not problems:
        yield Finding("names", True, "regions, machine types, disk types and quotas are in the price list or Google's")


def _quotas(home: Home, settings: Settings) -> Iterator[Finding]:
    from infra.settings_check import unlimited_families, unplanned_quotas

    if without := unlimited_families(settings):
        remedy = f"give the family's quota, for example N2_CPUS, or CPUS, in {home.capacity_file}"
        yield Finding("quotas", False, f"no vCPU quota limits plans for {', '.join(without)}", remedy, needed=False)
    if others := unplanned_quotas(settings):
        yield Finding("quotas", True, f"planning looks at those of vCPUs alone; the cloud enforces {', '.join(others)}")


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        "environment", sys.version_info >= (3, 11), f"Python {version} at {sys.executable}", "make env PYTHON=/path/to/python3.11"
    )


def _disk(home: Home) -> Finding:
    folder = next(parent for parent in (home.root, *home.root.parents) if parent.exists())
    free = shutil.disk_usage(folder).free / 2**30
    return Finding(
        "free disk", free >= _DISK_GIB, f"{free:.1f} GiB at {folder}", f"free {_DISK_GIB} GiB, or set HEADROOM_HOME to a larger disk"
    )


def _sources(home: Home, settings: Settings) -> Iterator[Finding]:
    for source in settings.metrics:
        subject = f"source {source.name}"
        if source.kind == "file":
            path = home.capacity_file.parent / source.path
            yield Finding(subject, path.is_file(), str(path), "mend metrics.path in capacity.yaml")
        else:
            yield _endpoint(subject, f"{source.url.rstrip('/')}/-/ready", "start Prometheus, or mend metrics.url in capacity.yaml")


def _calendars(home: Home, settings: Settings) -> Iterator[Finding]:
    for calendar in settings.calendars:
        place = getattr(calendar, "location", None) or getattr(calendar, "path", None)
        if place and "://" not in place:
            path = home.capacity_file.parent / place
            yield Finding(f"calendar {calendar.name}", path.is_file(), str(path), "mend calendars in capacity.yaml")


def _lake(home: Home, settings: Settings) -> Iterator[Finding]:
    del settings
    if "://" in home.lake_uri:
        yield Finding("lake", True, f"{home.lake_uri} (a bucket; not probed)")
        return
    yield Finding("lake", os.path.isdir(home.lake_uri), home.lake_uri, "make up (or headroom up) prepares it", needed=False)  # noqa: PTH112 - a URI


def _database(home: Home, settings: Settings) -> Iterator[Finding]:
    del settings
    from sqlalchemy import create_engine, inspect, make_url
    from sqlalchemy.exc import SQLAlchemyError

    shown = make_url(home.database_url).render_as_string(hide_password=True)
    if home.database_url.startswith("sqlite:///") and not os.path.exists(home.database_url.removeprefix("sqlite:///")):  # noqa: PTH110 - part of a URL
        yield Finding("database", False, f"{shown} does not exist yet", "make up (or headroom up) creates it", needed=False)
        return
    engine = create_engine(home.database_url)
    try:
        tables = set(inspect(engine).get_table_names())
    except SQLAlchemyError as error:
        yield Finding("database", False, f"{shown}: {type(error).__name__}", "check HEADROOM_DATABASE_URL and that the server is up")
        return
    finally:
        engine.dispose()
    yield Finding("database", "promotions" in tables, f"{shown}: {len(tables)} tables", "make up (or headroom up) creates the tables")


def _mlflow(home: Home, settings: Settings) -> Iterator[Finding]:
    del settings
    if home.mlflow_uri.startswith("http"):
        yield _endpoint("MLflow", f"{home.mlflow_uri}/health", "start it (make up), or mend MLFLOW_TRACKING_URI")
        return
    path = home.mlflow_uri.removeprefix("sqlite:///")
    yield Finding("MLflow", os.path.exists(path), home.mlflow_uri, "make up (or headroom up) migrates it", needed=False)  # noqa: PTH110 - part of a URL


def _airflow(home: Home, settings: Settings) -> Iterator[Finding]:
    from headroom.stack.addresses import Addresses
    from headroom.stack.airflow_api import AirflowApi

    address = Addresses.from_environment().url("airflow")
    health = _endpoint("Airflow", f"{address}/api/v2/monitor/health", "make up starts it", needed=False)
    yield health
    if not health.ok:
        return
    try:
        api = AirflowApi(address, home.root / "airflow")
    except HeadroomError as error:
        yield Finding("Airflow login", False, str(error), "make down in the other installation, or set HEADROOM_AIRFLOW_PORT", needed=False)
        return
    errors = api.import_errors()
    yield Finding("DAG files", not errors, "; ".join(errors) or f"{len(api.dag_ids())} DAGs", "mend the file named")
    yield Finding("pool", "cloud_writes" in api.pools(), "cloud_writes", "airflow pools set cloud_writes 4 'Cloud writes'")
    connection = settings.cloud.connection_id
    variable = f"AIRFLOW_CONN_{connection.upper()}"
    found = variable in os.environ or connection in api.connections()
    detail = f"{connection}: {'found' if found else 'not set; capacity.yaml and the default credentials are used'}"
    yield Finding("connection", found, detail, f"airflow connections add {connection} --conn-type headroom_cloud", needed=False)


def _cloud(home: Home, settings: Settings) -> Iterator[Finding]:
    endpoint = home.cloud_endpoint or settings.cloud.endpoint
    if endpoint is None:
        yield _credentials()
        return
    url = f"{endpoint.rstrip('/')}/compute/v1/projects/{settings.cloud.project}/regions"
    yield _endpoint("cloud", url, "make up starts the local cloud; or mend cloud.endpoint in capacity.yaml", needed=False)


def _credentials() -> Finding:
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    remedy = "gcloud auth application-default login, or run on a machine with a service account"
    try:
        _, project = google.auth.default()
    except GoogleAuthError as error:
        return Finding("Google credentials", False, str(error), remedy)
    return Finding("Google credentials", True, f"found, default project {project}")


def _endpoint(subject: str, url: str, remedy: str, *, needed: bool = True) -> Finding:
    from headroom.stack.processes import answers

    ok = answers(url)
    return Finding(subject, ok, f"{url} {'answers' if ok else 'does not answer'}", remedy, needed)
