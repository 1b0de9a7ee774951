"""The bundled file, backtested once by a stand-in for the engine."""

from pathlib import Path

import pytest

from headroom.backtest_judgement import Judgement, judge
from models.long_frame import LongFrame, read_long_frame
from tests.backtest import stand_in_engine

DEMO = Path(__file__).resolve().parents[2] / "demo" / "hourly.csv"


@pytest.fixture(scope="session")
def series() -> LongFrame:
    return read_long_frame(DEMO)


@pytest.fixture(scope="session")
def judgement(series: LongFrame) -> Judgement:
    result = stand_in_engine.backtest_frame(series, horizon=72, windows=3)
    return judge(result, series, horizon=72, windows=3)
