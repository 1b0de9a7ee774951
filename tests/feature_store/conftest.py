"""What the source and calendar tests share: the demo's settings, a scripted web server, a real Prometheus."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import requests

from headroom.settings import Settings, load_settings

REPOSITORY = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA


@pytest.fixture(scope="session")
def demo_settings() -> Settings:
    return load_settings(REPOSITORY / "capacity.yaml")


@dataclass
class Web:
    """A server on the loopback address that gives the scripted answers in order; the last one again and again."""

    url: str
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def answer(self, body: bytes | str = b"", status: int = 200, **headers: str) -> Web:
        self.answers.append((status, headers, body.encode() if isinstance(body, str) else body))
        return self


@pytest.fixture
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.requests.append((self.path, {name.title(): value for name, value in self.headers.items()}, body))
            status, headers, answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815 - the server calls it by this name

        def log_message(self, *args: object) -> None:
            """Keep the test's output readable."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script = Web(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield script
        server.shutdown()
        thread.join()


# The trace rows that the Prometheus server holds, and the metrics beside them.
LOADED = (pd.Timestamp("2026-07-07T18:00Z"), pd.Timestamp("2026-07-08T06:00Z"))
LOADED_METRICS = ("cpu_vcpu", "egress_gbps")


def _open_metrics(rows: pd.DataFrame) -> str:
    """The rows as OpenMetrics text: each sample in the middle of the 5-minute step that it describes."""
    lines = []
    for metric, group in rows.groupby("metric", observed=True):
        lines.append(f"# TYPE {metric} gauge")
        for row in group.sort_values(["region", "service", "timestamp"]).itertuples():
            lines.append(
                f'{metric}{{region="{row.region}",service="{row.service}"}} {float(row.value)!r} {row.timestamp.timestamp() + 150:.0f}'
            )
    # A counter that grows by 2 per second until 01:00 and by 5 per second from then on, scraped every 15 s.
    start, turn = pd.Timestamp("2026-07-08T00:00Z").timestamp(), pd.Timestamp("2026-07-08T01:00Z").timestamp()
    lines.append("# TYPE served counter")
    for second in range(0, 7201, 15):
        count = 2 * min(second, turn - start) + 5 * max(0, second - (turn - start))
        lines.append(f'served_total{{region="europe-west9",service="edge"}} {count:.0f} {start + second:.0f}')
    lines.append("# TYPE odd gauge")
    for minute, value in ((2, "NaN"), (7, "+Inf"), (12, "1.5"), (22, "2.5")):
        lines.append(f'odd{{region="europe-west9",service="edge"}} {value} {start + minute * 60:.0f}')
    lines.append("# TYPE unlabelled gauge")
    lines += [f'unlabelled{{service="edge",pod="{pod}"}} 1 {start + 60:.0f}' for pod in ("a", "b")]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Prometheus server that holds trace rows."""
    missing = [tool for tool in ("prometheus", "promtool") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {missing[0]}: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    rows = pd.read_parquet(REPOSITORY / "demo" / "metrics.parquet")
    inside = (rows["timestamp"] >= LOADED[0]) & (rows["timestamp"] < LOADED[1]) & rows["metric"].isin(LOADED_METRICS)
    (folder / "rows.txt").write_text(_open_metrics(rows[inside]))
    (folder / "prometheus.yml").write_text("global: {}\n")
    load = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "rows.txt"), str(folder / "tsdb")]
    subprocess.run(load, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (folder / "log").open("wb") as log:
        options = [
            f"--web.listen-address={address}",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
        ]
        server = subprocess.Popen(["prometheus", "--storage.tsdb.retention.time=100y", *options], stdout=log, stderr=log)
    try:
        _wait_until_ready(f"http://{address}/-/ready", server, folder / "log")
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError(f"prometheus is not ready: {log.read_text()[-2000:]}")
