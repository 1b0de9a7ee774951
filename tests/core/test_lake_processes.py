"""Mapped tasks write disjoint rows of one day at the same time: every row is there once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from headroom.lake import Lake

WRITERS, ROUNDS = 4, 6
CHILD = """
import sys
import pandas as pd
from headroom.lake import Lake
lake, writer = Lake(sys.argv[1]), sys.argv[2]
day = pd.Timestamp("2026-07-01", tz="UTC")
for round in range(int(sys.argv[3])):
    frame = pd.DataFrame({
        "unique_id": f"paris/s{writer}/cpu", "region": "paris", "service": f"s{writer}", "resource": "cpu",
        "ds": pd.date_range(day, periods=288, freq="5min"), "y": float(round), "available_at": day,
        "source": writer, "warnings": "",
    })
    lake.replace("metrics", frame, start=day, end=day + pd.Timedelta("1D"), where={"source": writer})
"""


def test_concurrent_writers_of_one_day_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """They also create the table at the same time: nobody made it before."""
    uri = str(tmp_path / "lake")
    path = os.pathsep.join([str(Path(__file__).parents[2])])
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, uri, str(writer), str(ROUNDS)], env=os.environ | {"PYTHONPATH": path})
        for writer in range(WRITERS)
    ]
    assert [child.wait(timeout=120) for child in children] == [0] * WRITERS
    day = {"start": pd.Timestamp("2026-07-01", tz="UTC"), "end": pd.Timestamp("2026-07-02", tz="UTC")}
    rows = Lake(uri).versions("metrics", **day)
    assert rows.groupby("source")["y"].agg(["size", "min", "max"]).to_numpy().tolist() == [[288, ROUNDS - 1, ROUNDS - 1]] * WRITERS
