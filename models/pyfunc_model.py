"""The registered model as MLflow runs it: this file is logged as code, beside the packages `models` and `headroom` that it needs.

One call scores a frame anywhere, without Airflow, lake or settings:

    model = mlflow.pyfunc.load_model("models:/demand-forecaster@champion")
    model.predict(history, params={"issue_time": "2026-07-08T00:00:00Z", "events": "[]"})

Input: history as `unique_id, ds, y` (`ds` the start of the hour in UTC, without a zone). Params: `issue_time` (default: the hour
after the last one given) and `events` (JSON records of the `events` table, default none). Output: one row per series and hour with
`unique_id, ds, horizon`, a column per quantile, and the candidate that forecast it. Series that cannot be served are left out.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

__all__ = ["DemandForecaster"]

_TIMES = ("start", "end", "available_at")


class DemandForecaster(PythonModel):  # type: ignore[misc]  # MLflow ships no types
    """A `DemandModel` behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        """Open the fitted model among the artifacts."""
        from models.demand_model import DemandModel

        self._model = DemandModel.load(Path(context.artifacts["demand_model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Quantiles of the next 72 hours; see the module's docstring."""
        del context
        given = params or {}
        history = model_input.assign(ds=pd.to_datetime(model_input["ds"], utc=True))
        stated = given.get("issue_time")
        issue_time = pd.to_datetime(stated, utc=True).floor("h") if stated else history["ds"].max().floor("h") + pd.Timedelta("1h")
        forecast = self._model.predict(history, _events(given.get("events") or "[]"), issue_time)
        return forecast.assign(ds=forecast["ds"].dt.tz_localize(None))


def _events(text: str) -> pd.DataFrame:
    from headroom.schemas import empty_frame

    json.loads(text)  # says where broken JSON breaks; pandas does not
    records = pd.read_json(io.StringIO(text), orient="records", convert_dates=False)
    if records.empty:
        return empty_frame("events")
    return records.assign(**{name: pd.to_datetime(records[name], utc=True) for name in _TIMES})


set_model(DemandForecaster())
