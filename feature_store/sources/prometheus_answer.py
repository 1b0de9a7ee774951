"""Reading a Prometheus answer: refuse what is no matrix of one series per region and service, or is not all there."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import numpy as np
import pandas as pd

from feature_store.fetch import Answer
from feature_store.sources.raw import raw_frame
from headroom.errors import BadInputError, UnavailableError

__all__ = ["matrix_rows"]

_log = logging.getLogger(__name__)


def matrix_rows(answer: Answer, metric: str, step: pd.Timedelta, what: str) -> pd.DataFrame:
    """Raw rows (see `MetricRows.rows`) of a range query's answer; the sample at `t` is the row of `t - step`.

    A series that lacks a label while others have it comes along with None, for quarantine.

    Raises:
        BadInputError: the query is refused, or its series are not one per `region` and `service`.
        UnavailableError: the answer says that it is partial.
    """
    payload = _payload(answer, what)
    _check_complete(payload, what)
    series = payload["data"]["result"]
    _check_series(payload["data"].get("resultType"), series, what)
    return raw_frame([_series_rows(one, metric, step) for one in series if one["values"]])


def _payload(answer: Answer, what: str) -> dict[str, Any]:
    try:
        payload = json.loads(answer.body)
    except ValueError as error:
        raise BadInputError(
            f"{what}: the server answers {answer.status} with something that is not JSON; set url to the address before /api/v1"
        ) from error
    if not isinstance(payload, dict) or payload.get("status") not in {"success", "error"}:
        raise BadInputError(f"{what}: the server answers {answer.status} and is no Prometheus; set url to the address before /api/v1")
    if payload["status"] == "error" or answer.status != HTTPStatus.OK:
        partial = " (it sent a part of the data, which is not used)" if payload.get("data") else ""
        text = f"{what}: {payload.get('errorType', 'error')}: {payload.get('error', f'answer {answer.status}')}{partial}"
        if payload.get("errorType") in {"timeout", "canceled", "internal", "unavailable"}:
            raise UnavailableError(f"{text}; ask for less with chunk_hours, or try again")
        raise BadInputError(f"{text}; correct the query in capacity.yaml")
    return payload


def _check_complete(payload: Mapping[str, Any], what: str) -> None:
    # Notes of the PromQL engine are about the query; every other warning is a store that did not answer.
    notes = [*payload.get("warnings", []), *payload.get("infos", [])]
    missing = [note for note in payload.get("warnings", []) if not str(note).startswith(("PromQL warning", "PromQL info"))]
    if missing or payload.get("isPartial") or payload.get("partial") or payload["data"].get("isPartial"):
        why = "; ".join(str(note) for note in missing) or "the server marks it so"
        raise UnavailableError(f"{what}: the answer is partial: {why}; it is not used, try again")
    for note in notes:
        _log.info("%s: %s", what, note)


def _check_series(kind: object, series: Sequence[Mapping[str, Any]], what: str) -> None:
    if kind != "matrix":
        raise BadInputError(f"{what}: the query yields a {kind}; expected series, for example sum by (region, service) (x)")
    if any("values" not in one for one in series):
        raise BadInputError(f"{what}: the query yields histograms; take a number from them, for example histogram_quantile(0.95, x)")
    labels = [_labels(one) for one in series]
    if labels and all(None in pair for pair in labels):
        has = ", ".join(sorted(series[0]["metric"])) or "none"
        raise BadInputError(f"{what}: no series has both labels region and service (labels: {has}); use sum by (region, service) (x)")
    twice = pd.Series(labels, dtype="object").value_counts()
    if len(twice) and twice.iloc[0] > 1:
        region, service = twice.index[0]
        raise BadInputError(f"{what}: the query yields {twice.iloc[0]} series for {region}/{service}; use sum by (region, service) (x)")


def _labels(one: Mapping[str, Any]) -> tuple[str | None, str | None]:
    return one["metric"].get("region"), one["metric"].get("service")


def _series_rows(one: Mapping[str, Any], metric: str, step: pd.Timedelta) -> pd.DataFrame:
    times, values = zip(*one["values"], strict=True)
    region, service = _labels(one)
    milliseconds = np.round(np.asarray(times, dtype="float64") * 1000).astype("int64")
    prefix = json.dumps({"metric": metric, "labels": one["metric"]})[:-1]
    identity = prefix + ', "time": ' + (milliseconds / 1000).astype("str").astype("object") + "}"
    return pd.DataFrame(
        {
            "timestamp": pd.to_datetime(milliseconds, unit="ms", utc=True) - step,
            "region": region,
            "service": service,
            "metric": metric,
            "value": np.asarray(values, dtype="object").astype("float64"),
            "row": identity,
        }
    )
