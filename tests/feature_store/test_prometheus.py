"""The Prometheus source against a real server that holds trace rows, and against answers a real server rarely gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feature_store.sources import RAW_COLUMNS, Credentials, open_source
from headroom.errors import BadInputError, UnavailableError
from headroom.settings_sources import FileSource, PrometheusSource
from tests.feature_store.conftest import LOADED, LOADED_METRICS, Web

STEP = pd.Timedelta(minutes=5)
UNITS = {"cpu_vcpu": "vCPU", "egress_gbps": "Gbit/s"}


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"2026-07-08T{text}Z")


def source(url: str, queries: dict[str, str], **settings: object) -> PrometheusSource:
    metrics = {name: {"unit": UNITS.get(name, "1/s"), "query": query} for name, query in queries.items()}
    return PrometheusSource.model_validate({"name": "prom", "url": url, "metrics": metrics, **settings})


def read(url: str, query: str, start: str = "00:00", end: str = "01:00", **settings: object) -> pd.DataFrame:
    return open_source(source(url, {"m": query}, **settings), Path()).rows(at(start), at(end))


def test_the_server_gives_the_rows_that_the_file_gives(prometheus: str, repository: Path) -> None:
    queries = {name: f"sum by (region, service) (avg_over_time({name}[5m]))" for name in LOADED_METRICS}
    file = FileSource.model_validate(
        {"name": "f", "path": "demo/metrics.parquet", "metrics": {name: {"unit": UNITS[name]} for name in queries}}
    )
    expected = open_source(file, repository).rows(*LOADED)
    for chunk_hours in (24, 1, 0.4, 0.01):  # one chunk, many, a chunk that no hour is a multiple of, one below the step
        window = LOADED if chunk_hours > 0.1 else (at("00:00"), at("00:30"))
        found = open_source(source(prometheus, queries, chunk_hours=chunk_hours), repository).rows(*window)
        key = ["metric", "region", "service", "timestamp"]
        assert not found.duplicated(key).any()
        wanted = expected[(expected["timestamp"] >= window[0]) & (expected["timestamp"] < window[1])]
        pd.testing.assert_frame_equal(
            found[[*key, "value"]].sort_values(key, ignore_index=True),
            wanted[[*key, "value"]].sort_values(key, ignore_index=True),
            rtol=1e-12,
        )
        assert found["row"].is_unique
        assert found.attrs["remarks"] == []


def test_a_row_describes_the_step_that_begins_at_its_timestamp(prometheus: str) -> None:
    rows = read(prometheus, "sum by (region, service) (rate(served_total[5m]))", "00:30", "01:30").set_index("timestamp")["value"]
    assert np.allclose(rows[rows.index < at("01:00")], 2.0)  # the last slow row begins at 00:55
    assert np.allclose(rows[rows.index >= at("01:00")], 5.0)  # the first fast row begins at 01:00


def test_windows_that_touch_share_no_row_and_lose_none(prometheus: str) -> None:
    query = "sum by (region, service) (rate(served_total[5m]))"
    parts = [read(prometheus, query, *bounds) for bounds in (("00:00", "00:32"), ("00:32", "00:35"), ("00:35", "01:00"))]
    assert [len(part) for part in parts] == [7, 0, 5]
    whole = read(prometheus, query)
    assert pd.concat(parts)["timestamp"].tolist() == whole["timestamp"].tolist() == list(pd.date_range(at("00:00"), periods=12, freq=STEP))


def test_values_that_are_no_measurements_come_along(prometheus: str) -> None:
    rows = read(prometheus, "max by (region, service) (max_over_time(odd[5m]))", "00:00", "00:30")
    assert rows["value"].iloc[1] == np.inf
    assert np.isnan(rows["value"].iloc[0])
    assert list(rows.columns) == list(RAW_COLUMNS)
    assert json.loads(rows["row"].iloc[1]) == {
        "metric": "m",
        "labels": {"region": "europe-west9", "service": "edge"},
        "time": at("00:10").timestamp(),
    }


def test_a_gap_is_remarked(prometheus: str) -> None:
    rows = read(prometheus, "max by (region, service) (max_over_time(odd[5m]))", "00:00", "00:30")
    assert rows["timestamp"].dt.strftime("%H:%M").tolist() == ["00:00", "00:05", "00:10", "00:20"]
    assert rows.attrs["remarks"] == ["metric 'm': europe-west9/edge has 4 of 6 points"]
    nothing = read(prometheus, "no_such_metric")
    assert nothing.empty
    assert nothing.attrs["remarks"] == ["metric 'm' has no series in the window"]
    assert nothing.dtypes["value"] == "float64"
    assert str(nothing.dtypes["timestamp"]) == "datetime64[us, UTC]"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "unlabelled",
            "source prom: metric 'm': no series has both labels region and service (labels: __name__, pod, service); use sum by (region, service) (x)",
        ),
        (
            "sum(cpu_vcpu)",
            "source prom: metric 'm': no series has both labels region and service (labels: none); use sum by (region, service) (x)",
        ),
        (
            '{__name__=~"cpu_vcpu|egress_gbps",service="edge",region="europe-west9"}',
            "source prom: metric 'm': the query yields 2 series for europe-west9/edge; use sum by (region, service) (x)",
        ),
    ],
)
def test_an_unsuitable_query_is_refused(prometheus: str, query: str, message: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read(prometheus, query)
    assert str(refused.value) == message


def test_a_query_that_the_server_cannot_read_is_refused_in_its_words(prometheus: str) -> None:
    with pytest.raises(
        BadInputError, match=r"source prom: metric 'm': bad_data: .*unclosed left parenthesis; correct the query in capacity.yaml"
    ):
        read(prometheus, "sum by (region")


def test_a_series_without_labels_among_good_ones_comes_along(prometheus: str) -> None:
    rows = read(prometheus, "sum by (region, service) (odd) or sum by (service) (unlabelled)", "00:00", "00:10")
    assert rows[["region", "service"]].drop_duplicates().values.tolist() == [["europe-west9", "edge"], [None, "edge"]]


def test_more_points_than_one_query_may_have(prometheus: str) -> None:
    settings = source(prometheus, {"m": 'sum by (region, service) (cpu_vcpu{service="edge"})'}, step_minutes=1, chunk_hours=24 * 30)
    rows = open_source(settings, Path()).rows(pd.Timestamp("2026-06-28T06:00Z"), LOADED[1])  # 14,400 steps
    assert rows["timestamp"].max() == LOADED[1] - pd.Timedelta(minutes=1)


MATRIX = {"resultType": "matrix", "result": [{"metric": {"region": "r", "service": "s"}, "values": [[at("00:05").timestamp(), "1"]]}]}


def success(**parts: object) -> str:
    return json.dumps({"status": "success", "data": MATRIX, **parts})


def test_a_busy_server_is_asked_again(web: Web) -> None:
    web.answer("overloaded", 503).answer("slow down", 429, Retry_After="1").answer(success())
    rows = read(web.url, "x", end="00:05")
    assert rows["value"].tolist() == [1.0]
    assert len(web.requests) == 3


def test_a_server_that_stays_busy_is_unavailable(web: Web) -> None:
    web.answer("overloaded", 503)
    with pytest.raises(UnavailableError) as failed:
        read(web.url, "x")
    assert str(failed.value) == f"source prom: metric 'm': {web.url} answers 503 overloaded"
    assert len(web.requests) == 4


def test_no_server_is_unavailable() -> None:
    with pytest.raises(UnavailableError) as failed:
        read("http://127.0.0.1:9", "x")
    assert (
        str(failed.value)
        == "source prom: metric 'm': http://127.0.0.1:9 does not answer (ConnectionError); check that it is up and reachable"
    )


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ({"warnings": ["store gateway-2 did not answer"]}, "store gateway-2 did not answer"),
        ({"isPartial": True}, "the server marks it so"),
    ],
)
def test_a_partial_answer_is_not_used(web: Web, mark: dict[str, object], why: str) -> None:
    web.answer(success(**mark))
    with pytest.raises(UnavailableError) as failed:
        read(web.url, "x")
    assert str(failed.value) == f"source prom: metric 'm': the answer is partial: {why}; it is not used, try again"


def test_an_error_with_a_part_of_the_data_is_not_used(web: Web) -> None:
    web.answer(json.dumps({"status": "error", "errorType": "timeout", "error": "query timed out", "data": MATRIX}))
    with pytest.raises(UnavailableError) as failed:
        read(web.url, "x")
    assert str(failed.value) == (
        "source prom: metric 'm': timeout: query timed out (it sent a part of the data, which is not used); ask for less with chunk_hours, or try again"
    )


def test_a_note_about_the_query_is_no_missing_data(web: Web) -> None:
    web.answer(success(warnings=["PromQL warning: bucket label is missing"], infos=["PromQL info: metric might not be a counter"]))
    assert read(web.url, "x", end="00:05")["value"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("<html>sign in</html>", 200, "the server answers 200 with something that is not JSON; set url to the address before /api/v1"),
        ("{}", 404, "the server answers 404 and is no Prometheus; set url to the address before /api/v1"),
        ("", 401, "the server answers 401 and lets us not in; check the Airflow connection prom_default"),
    ],
)
def test_an_address_that_is_wrong(web: Web, body: str, status: int, message: str) -> None:
    web.answer(body, status)
    with pytest.raises(BadInputError) as refused:
        read(web.url, "x", connection_id="prom_default")
    assert str(refused.value) == f"source prom: metric 'm': {message}"
    assert len(web.requests) == 1  # trying again cannot help


def test_a_redirect_is_named_and_not_followed(web: Web) -> None:
    web.answer("", 302, Location="https://elsewhere.example/")
    with pytest.raises(BadInputError) as refused:
        read(web.url, "x")
    assert (
        str(refused.value)
        == "source prom: metric 'm': the server answers a redirect to https://elsewhere.example/; set url to the final address"
    )


def test_credentials_are_sent_and_never_shown(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web.answer(success())
    for credentials, header in ((Credentials(token="t0k3n"), "Bearer t0k3n"), (Credentials("ada", "pa55"), "Basic YWRhOnBhNTU=")):
        reader = open_source(source(web.url, {"m": "x"}), Path(), credentials=credentials)
        reader.rows(at("00:00"), at("00:05"))
        assert web.requests[-1][1]["Authorization"] == header
        assert not any(secret in repr(reader) for secret in ("t0k3n", "ada", "pa55"))


def test_credentials_do_not_travel_unencrypted() -> None:
    with pytest.raises(BadInputError) as refused:
        open_source(source("http://prometheus.example:9090", {"m": "x"}), Path(), credentials=Credentials(token="t"))
    assert (
        str(refused.value)
        == "source prom: http://prometheus.example:9090 would travel unencrypted; use https (plain http is for this machine only)"
    )
    open_source(source("http://prometheus.example:9090", {"m": "x"}), Path())  # without a secret it may


def test_google_credentials_are_used(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k",
        "private_key": private.decode(),
        "client_email": "headroom@p.iam.gserviceaccount.com",
        "token_uri": f"{web.url}/token",
    }
    (tmp_path / "key.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # google-auth also asks Google for the account's locations, in a thread
    web.answer(
        json.dumps({"access_token": "from-google", "expires_in": 3600, "token_type": "Bearer"}), Content_Type="application/json"
    ).answer(success())
    rows = read(web.url, "x", end="00:05", google_auth=True)
    assert rows["value"].tolist() == [1.0]
    assert web.requests[-1][1]["Authorization"] == "Bearer from-google"


def test_missing_google_credentials_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web) -> None:
    (tmp_path / "key.json").write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(BadInputError) as refused:
        read(web.url, "x", google_auth=True)
    assert str(refused.value) == (
        "source prom: google_auth is set and this machine has no usable Google credentials; "
        "run `gcloud auth application-default login` or set GOOGLE_APPLICATION_CREDENTIALS"
    )
