"""MLflow, imported only when it is used (four seconds), kept quiet, and pointed at one installation."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from headroom.errors import HeadroomError, UnavailableError
from headroom.home import Home

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["mlflow_session"]

_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A server that is down is reported after seconds instead of minutes: our callers degrade, and Airflow retries.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    # A model's environment is made from its requirements. Else MLflow packs the uv.lock of the folder that a training happens to run in,
    # and `mlflow models predict --env-manager uv` installs, or fails to install, that project instead.
    "MLFLOW_UV_AUTO_DETECT": "false",
}


@contextmanager
def mlflow_session(home: Home) -> Iterator[MlflowClient]:
    """A client of `home.mlflow_uri`; inside, MLflow's fluent functions speak to it too. The process is left as it was.

    Raises:
        UnavailableError: when the server or the database does not answer within the session.
    """
    before = {name: os.environ.get(name) for name in (*_QUIET, "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    try:
        with warnings.catch_warnings():
            # MLflow deprecates parts of itself and of its dependencies on import and on use; nothing that we could change.
            warnings.simplefilter("ignore")
            yield from _session(home)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _session(home: Home) -> Iterator[MlflowClient]:
    mlflow = _quiet_mlflow()
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import OperationalError

    mlflow.set_tracking_uri(home.mlflow_uri)
    mlflow.set_registry_uri(home.mlflow_uri)
    try:
        yield mlflow.MlflowClient(home.mlflow_uri, home.mlflow_uri)
    except HeadroomError:
        raise
    except (RequestException, OperationalError) as error:
        raise _unavailable(home, error) from error
    except MlflowException as error:
        if error.error_code in _TRANSIENT:
            raise _unavailable(home, error) from error
        raise
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)


_TRANSIENT: Final = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}


def _unavailable(home: Home, error: Exception) -> UnavailableError:
    said = str(error).splitlines()[0][:200]
    return UnavailableError(
        f"MLflow at {home.mlflow_uri} does not answer ({said}); start it (make up) or check MLFLOW_TRACKING_URI, then retry"
    )


def _quiet_mlflow() -> Any:
    for name in ("mlflow", "alembic", "mlflow.store.db.utils", "mlflow.tracking.fluent", "mlflow.utils.environment"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import mlflow

    # MLflow configures its own logger on import and writes to stderr, which Airflow shows as errors.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return mlflow
