"""A fitted model as one MLflow model version: signature, input example, its own code, pinned requirements."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

import headroom
from headroom.home import Home
from headroom.vocabulary import QUANTILE_COLUMNS
from models.candidates import DECLARED
from models.mlflow_session import mlflow_session
from models.registry import CHALLENGER, MODEL_FOLDER, MODEL_NAME, ModelVersion, keep_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["register_model", "requirements"]

# What the packaged code imports. The rest of Headroom stays at home.
_CORE: Final = (
    "__init__",
    "errors",
    "schemas",
    "settings",
    "settings_cloud",
    "settings_forecasting",
    "settings_services",
    "settings_sources",
    "strict_yaml",
    "vocabulary",
)
# What every version needs, beside what the candidates of its ensemble declare.
_REQUIREMENTS: Final = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml")


def register_model(
    home: Home, *, run_id: str, folder: Path, candidates: Collection[str], example: pd.DataFrame, tags: dict[str, str]
) -> ModelVersion:
    """Register the fitted model in `folder` as the version of MLflow run `run_id`; a run has one version, however often this is called.

    The version gets the alias `challenger`, unless a later version has it, and is put into this machine's cache.

    Args:
        run_id: MLflow run that the version belongs to.
        folder: what `DemandModel.save` wrote.
        candidates: that the model runs.
        example: some rows `unique_id, ds, y` for the input example.
        tags: tags of the version.

    Raises:
        UnavailableError: when MLflow does not answer.
    """
    with mlflow_session(home) as client:
        version = _version_of_run(client, run_id) or _log_and_register(client, run_id, folder, candidates, example, tags)
        holder = _number_of(client, CHALLENGER)
        if holder is None or holder < int(version.version):
            client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version.version)
    keep_model(home, version, folder)
    return version


def requirements(candidates: Collection[str]) -> list[str]:
    """Packages, pinned to what is installed here, that a model of these candidates needs; Headroom's own code travels with the model.

    What a package requires itself (SciPy, scikit-learn) follows from it.
    """
    names = {*_REQUIREMENTS, *(package for name in candidates for package in DECLARED[name].packages)}
    return [f"{name}=={installed(name)}" for name in sorted(names)]


def _version_of_run(client: MlflowClient, run_id: str) -> ModelVersion | None:
    found = client.search_model_versions(f"name = '{MODEL_NAME}' and run_id = '{run_id}'")
    return ModelVersion(str(min(int(v.version) for v in found)), run_id) if found else None


def _log_and_register(
    client: MlflowClient, run_id: str, folder: Path, candidates: Collection[str], example: pd.DataFrame, tags: dict[str, str]
) -> ModelVersion:
    import mlflow

    with tempfile.TemporaryDirectory() as scratch:
        packages, artifacts = _packages(Path(scratch)), Path(scratch) / MODEL_FOLDER
        shutil.copytree(folder, artifacts)  # MLflow keeps the name of the folder, which `fetch_model` must know
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.pyfunc.log_model(
                name=MODEL_NAME,
                python_model=str(Path(__file__).with_name("pyfunc_model.py")),
                artifacts={MODEL_FOLDER: str(artifacts)},
                code_paths=[str(path) for path in packages],
                signature=_signature(),
                input_example=_example(example),
                pip_requirements=requirements(candidates),
            )
    _create_registered_model(client)
    made = client.create_model_version(MODEL_NAME, source=logged.model_uri, run_id=run_id, tags=tags, model_id=logged.model_id)
    return ModelVersion(str(made.version), run_id)


def _packages(scratch: Path) -> list[Path]:
    """Copies of the packages that a loaded model imports, without what only runs at home."""
    models, core = scratch / "models", scratch / "headroom"
    shutil.copytree(Path(__file__).parent, models, ignore=shutil.ignore_patterns("__pycache__"))
    core.mkdir()
    source = Path(str(headroom.__file__)).parent
    for name in _CORE:
        shutil.copyfile(source / f"{name}.py", core / f"{name}.py")
    return [models, core]


def _create_registered_model(client: MlflowClient) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(MODEL_NAME, description="72-hour quantile forecasts of every series; made by the DAG train_models.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _number_of(client: MlflowClient, alias: str) -> int | None:
    aliases = client.get_registered_model(MODEL_NAME).aliases
    return int(aliases[alias]) if alias in aliases else None


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    key = [ColSpec(DataType.string, "unique_id"), ColSpec(DataType.datetime, "ds")]
    quantiles = [ColSpec(DataType.double, name) for name in QUANTILE_COLUMNS]
    return ModelSignature(
        inputs=Schema([*key, ColSpec(DataType.double, "y")]),
        outputs=Schema([*key, ColSpec(DataType.integer, "horizon"), *quantiles, ColSpec(DataType.string, "candidate")]),
        params=ParamSchema([ParamSpec("issue_time", DataType.string, ""), ParamSpec("events", DataType.string, "[]")]),
    )


def _example(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["unique_id", "ds", "y"]].assign(ds=rows["ds"].dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ns]"))
