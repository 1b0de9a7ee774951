"""A source's login comes from its Airflow connection, or from the environment; never from capacity.yaml."""

from __future__ import annotations

import json

import pytest

from feature_store.sources import Credentials
from headroom.settings_sources import FileSource, Metric, PrometheusSource
from headroom_airflow.source_credentials import source_credentials


def _prometheus(connection: str | None) -> PrometheusSource:
    return PrometheusSource(
        name="live",
        url="http://127.0.0.1:9090",
        connection_id=connection,
        metrics={"cpu": Metric(unit="vCPU", query="sum by (region, service) (up)")},
    )


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ({"login": "reader", "password": "secret"}, Credentials(username="reader", password="secret")),
        ({"password": "secret"}, Credentials(token="secret")),
    ],
)
def test_a_connection_gives_a_login_or_a_token(connection: dict[str, str], expected: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_METRICS_LOGIN", json.dumps({"conn_type": "http", **connection}))
    assert source_credentials(_prometheus("metrics_login")) == expected


def test_a_source_without_a_connection_needs_none() -> None:
    assert source_credentials(_prometheus(None)) is None
    assert source_credentials(FileSource(name="traces", path="x.csv", metrics={"cpu": Metric(unit="vCPU")})) is None


def test_the_command_line_takes_them_from_the_environment() -> None:
    environment = {"HEADROOM_LIVE_EU_TOKEN": "secret"}
    assert Credentials.from_environment("live-eu", environment) == Credentials(token="secret")
    assert not Credentials.from_environment("other", environment)
