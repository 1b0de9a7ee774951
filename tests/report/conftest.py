"""One lived-in installation for all tests of the report, and its page."""

from pathlib import Path

import pytest

from headroom.home import Home
from headroom.lake import Lake
from headroom.report import write_report
from headroom.settings import Settings
from tests.report.demo_state import build_demo_state


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Home, Lake]:
    return build_demo_state(tmp_path_factory.mktemp("report") / "var")


@pytest.fixture(scope="session")
def page(state: tuple[Settings, Home, Lake]) -> Path:
    settings, home, lake = state
    return write_report(settings, home, lake, links={"Airflow": "http://127.0.0.1:8080"})
