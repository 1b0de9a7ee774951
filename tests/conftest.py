"""Fixtures that every area of the tests may use."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from servers import running_postgres
from sqlalchemy import create_engine

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("headroom", deadline=None)
hypothesis.settings.load_profile("headroom")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests recorded."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    figures = [value for report in reports if report.when == "call" for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for figure in sorted(figures):
            terminalreporter.write_line(str(figure))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """SQLAlchemy URL of a PostgreSQL database; the tests that use it share it. Skips where PostgreSQL is not installed."""
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLAlchemy URL of a database without tables, once of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/headroom.db"
    shared: str = request.getfixturevalue("postgres_url")
    engine = create_engine(shared)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return shared
