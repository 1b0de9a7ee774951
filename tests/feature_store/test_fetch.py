"""One request: its size and time are bounded, busy servers get another try."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_store.fetch import Limits, read_location
from headroom.errors import BadInputError, UnavailableError
from tests.feature_store.conftest import Web

QUICK = Limits(timeout_seconds=0.5, attempts=2, first_wait_seconds=0.01, size_bytes=1000)


def read(location: str, folder: Path = Path(), limits: Limits = QUICK) -> bytes:
    return read_location(location, folder, what="calendar c", limits=limits)


def test_a_file_and_an_address_give_their_bytes(tmp_path: Path, web: Web) -> None:
    (tmp_path / "f").write_bytes(b"\x00\xff")
    web.answer(b"\x00\xff")
    assert read("f", tmp_path) == read(str(tmp_path / "f")) == read(web.url) == b"\x00\xff"


def test_more_than_the_limit_is_refused(tmp_path: Path, web: Web) -> None:
    (tmp_path / "f").write_bytes(b"x" * 1001)
    with pytest.raises(BadInputError) as refused:
        read("f", tmp_path)
    assert str(refused.value) == "calendar c: 'f' is larger than 1,000 bytes; split it"
    web.answer(b"x" * 1001)
    with pytest.raises(BadInputError) as refused:
        read(web.url)
    assert str(refused.value) == f"calendar c: {web.url} answers more than 1,000 bytes; ask for less"
    assert len(web.requests) == 1


def test_a_busy_server_gets_another_try(web: Web) -> None:
    web.answer("", 500).answer("ready")
    assert read(web.url) == b"ready"


@pytest.fixture(params=["Transfer-Encoding: chunked", "Content-Length: 100000"])
def dripping(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that sends a byte every 0.2 s, for ever: no single pause reaches the time-out."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.sendall(f"HTTP/1.1 200 OK\r\n{request.param}\r\n\r\n".encode())
                while not stop.wait(0.2):
                    try:
                        connection.sendall(b"1\r\nx\r\n")
                    except OSError:
                        break

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        thread.join()


def test_a_server_that_never_ends_its_answer_is_unavailable(dripping: str) -> None:
    begun = time.monotonic()
    with pytest.raises(UnavailableError) as failed:
        read(dripping)
    assert str(failed.value) == f"calendar c: {dripping} took longer than 0.5 s to answer"
    assert time.monotonic() - begun < 10


def test_an_answer_that_is_cut_off_is_not_used() -> None:
    def serve() -> None:
        for _ in range(QUICK.attempts):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(UnavailableError, match=r"does not answer \(ProtocolError\); check that it is up and reachable"):
            read(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()


def test_a_packed_answer_is_unpacked_within_the_limit(web: Web) -> None:
    web.answer(gzip.compress(b"x" * 900), Content_Encoding="gzip").answer(gzip.compress(b"x" * 9_000_000), Content_Encoding="gzip")
    assert read(web.url) == b"x" * 900
    with pytest.raises(BadInputError, match=r"answers more than 1,000 bytes"):
        read(web.url)
