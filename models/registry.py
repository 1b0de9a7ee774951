"""The model registry: versions and aliases of `demand-forecaster` in MLflow, and their files cached on this machine.

A scoring task must not wait for an import of MLflow: aliases are read over plain HTTP when MLflow is a server, and a version
that was downloaded once is opened from its folder.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from headroom.errors import UnavailableError
from headroom.home import Home
from models.mlflow_session import mlflow_session

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "EXPERIMENT",
    "MODEL_FOLDER",
    "MODEL_NAME",
    "ModelVersion",
    "alias_holder",
    "cached_model",
    "fetch_model",
    "find_version",
    "forget_model",
    "keep_model",
    "migrate",
    "set_alias",
    "tag_version",
]

MODEL_NAME: Final = "demand-forecaster"
EXPERIMENT: Final = "headroom"
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
# Folder of the fitted DemandModel among the artifacts of a version.
MODEL_FOLDER: Final = "demand_model"

_LOG: Final = logging.getLogger(__name__)
_TIMEOUT_SECONDS: Final = 10


@dataclass(frozen=True)
class ModelVersion:
    """One version of the model. The run tells apart two versions of one number, should the registry ever be started anew."""

    version: str
    run_id: str


def migrate(home: Home) -> None:
    """Create or migrate MLflow's database and create the experiment; safe to repeat, not to race: call it before any task.

    With a database of this machine, artifacts go to `<root>/mlflow/artifacts`; a tracking server decides for itself.
    """
    artifacts = home.root / "mlflow" / "artifacts"
    local = not home.mlflow_uri.startswith("http")
    if local:
        artifacts.mkdir(parents=True, exist_ok=True)
    with mlflow_session(home) as client:
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri() if local else None)


def alias_holder(home: Home, alias: str = CHAMPION) -> ModelVersion | None:
    """The version that holds `alias`, or None.

    Raises:
        UnavailableError: when MLflow does not answer.
    """
    if home.mlflow_uri.startswith("http"):
        found = _get(home, "registered-models/alias", {"name": MODEL_NAME, "alias": alias})
        return None if found is None else _version(found["model_version"])
    with mlflow_session(home) as client:
        from mlflow.exceptions import MlflowException

        try:
            held = client.get_model_version_by_alias(MODEL_NAME, alias)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise
    return ModelVersion(str(held.version), held.run_id or "")


def find_version(home: Home, version: str) -> ModelVersion | None:
    """The version with this number, or None.

    Raises:
        UnavailableError: when MLflow does not answer.
    """
    with mlflow_session(home) as client:
        from mlflow.exceptions import MlflowException

        try:
            found = client.get_model_version(MODEL_NAME, version)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise
    return ModelVersion(str(found.version), found.run_id or "")


def set_alias(home: Home, alias: str, version: str) -> None:
    """Give `alias` to `version`, taking it from whoever has it."""
    with mlflow_session(home) as client:
        client.set_registered_model_alias(MODEL_NAME, alias, version)


def tag_version(home: Home, version: str, tags: Mapping[str, str | None]) -> None:
    """Set tags of a version; None removes one."""
    with mlflow_session(home) as client:
        present = client.get_model_version(MODEL_NAME, version).tags
        for name, value in tags.items():
            if value is not None:
                client.set_model_version_tag(MODEL_NAME, version, name, value)
            elif name in present:
                client.delete_model_version_tag(MODEL_NAME, version, name)


def cached_model(home: Home, version: ModelVersion) -> Path | None:
    """The folder of a version on this machine, or None when it was never fetched."""
    folder = _cache_folder(home, version)
    return folder if folder.is_dir() else None


def fetch_model(home: Home, version: ModelVersion) -> Path:
    """The folder of a version's fitted model; downloaded once, and complete or not there.

    Raises:
        UnavailableError: when it is not on this machine and MLflow does not give it.
    """
    cached = cached_model(home, version)
    if cached is not None:
        return cached
    with mlflow_session(home), tempfile.TemporaryDirectory() as scratch:
        import mlflow
        from mlflow.exceptions import MlflowException

        try:
            found = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{MODEL_NAME}/{version.version}", dst_path=scratch)
        except (MlflowException, OSError) as error:
            said = str(error)[:200]
            raise UnavailableError(
                f"model {MODEL_NAME} {version.version}: MLflow at {home.mlflow_uri} does not give its files ({said}); check the artifact store"
            ) from error
        return keep_model(home, version, Path(found) / "artifacts" / MODEL_FOLDER)


def keep_model(home: Home, version: ModelVersion, source: Path) -> Path:
    """Copy a fitted model's folder into the cache; a reader sees the whole folder or none. Safe to race."""
    target = _cache_folder(home, version)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
        copy = Path(scratch) / "model"
        shutil.copytree(source, copy)
        try:
            copy.rename(target)
        except OSError:  # the folder is there by now
            if not target.is_dir():
                raise
            _LOG.info("version %s was fetched by another process meanwhile", version.version)
    return target


def forget_model(home: Home, version: ModelVersion) -> None:
    """Drop a version from the cache, so that the next `fetch_model` downloads it."""
    shutil.rmtree(_cache_folder(home, version), ignore_errors=True)


_ABSENT: Final = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


def _cache_folder(home: Home, version: ModelVersion) -> Path:
    return home.root / "models" / f"{version.version}-{version.run_id}"


def _version(found: Mapping[str, Any]) -> ModelVersion:
    return ModelVersion(str(found["version"]), str(found.get("run_id") or ""))


def _get(home: Home, path: str, params: Mapping[str, str]) -> dict[str, Any] | None:
    """The JSON of one REST call; None when the thing does not exist."""
    url = f"{home.mlflow_uri.rstrip('/')}/api/2.0/mlflow/{path}"
    try:
        response = requests.get(url, params=dict(params), headers=_token(), auth=_password(), timeout=_TIMEOUT_SECONDS)
        body: dict[str, Any] = response.json()
    except (requests.RequestException, ValueError) as error:
        raise UnavailableError(
            f"MLflow at {home.mlflow_uri} does not answer ({type(error).__name__}); start it (make up), then retry"
        ) from error
    if response.ok:
        return body
    if body.get("error_code") in _ABSENT:
        return None
    raise UnavailableError(f"MLflow at {home.mlflow_uri} refused {path}: {response.status_code} {body.get('message', '')}")


def _token() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _password() -> tuple[str, str] | None:
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    return (user, password) if user and password else None
