"""What a replay leaves behind as data: figures per policy, the frontier, and every step."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from headroom.atomic_write import write_whole
from infra.replay.run import Replay

__all__ = ["STEP_COLUMNS", "figures", "frontier_facts", "steps_frame", "write_result"]

STEP_COLUMNS: Final = (
    "policy",
    "unique_id",
    "ds",
    "y",
    "demand",
    "hot",
    "warm",
    "resumed",
    "bought",
    "unmet",
    "starts",
    "stops",
    "cost_usd",
)


def write_result(result: Replay, folder: Path) -> None:
    """`replay.json` (policy -> figures), `frontier.json` (setting -> cost and unmet demand, and the world) and `steps.parquet`."""
    for name, facts in (("replay.json", figures(result)), ("frontier.json", frontier_facts(result))):
        _write(folder / name, json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    steps = steps_frame(result)
    write_whole(folder / "steps.parquet", lambda path: steps.to_parquet(path, index=False))


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda fresh: fresh.write_text(text, encoding="utf-8"))


def figures(result: Replay) -> dict[str, Any]:
    """Policy -> its figures, as `infra.replay.metrics.Measured` has them."""
    return {name: measured.to_json() for name, measured in result.measured.items()}


def frontier_facts(result: Replay) -> dict[str, Any]:
    """The replayed time, the world per step, what is compared at equal unmet demand, and the points of every policy."""
    scene = result.scene
    terms = {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in asdict(result.terms).items()}
    return {
        "from": scene.times[0].isoformat(),
        "to": (scene.times[-1] + scene.step).isoformat(),
        "step_minutes": scene.step / pd.Timedelta(minutes=1),
        "series": len(scene.series),
        "left_out": dict(scene.left_out),
        "terms": terms,
        "equal_unmet": result.equal_unmet,
        "frontier": {name: [asdict(point) for point in points] for name, points in result.frontier.items()},
    }


def steps_frame(result: Replay) -> pd.DataFrame:
    """`STEP_COLUMNS`, sorted by policy, series and time: `y` in the input's unit, the others machines, `unmet` machine-hours.

    `cost_usd` holds what was held, used and booted in the step.
    """
    scene = result.scene
    count, steps = scene.demand.shape
    series = pd.Categorical(np.repeat(np.array(scene.series, dtype=object), steps), categories=scene.series)
    shared = {"unique_id": series, "ds": np.tile(scene.times, count), "y": (scene.demand * scene.size[:, None]).ravel()}
    parts = []
    for name, outcome in result.outcomes.items():
        step = outcome.step
        columns = {
            "demand": scene.demand,
            "hot": outcome.track.hot,
            "warm": outcome.track.warm,
            "resumed": step.resumed,
            "bought": step.bought,
            "unmet": step.unmet,
            "starts": outcome.track.booted,
            "stops": outcome.stops,
            "cost_usd": step.cost + outcome.track.booted * result.terms.start,
        }
        parts.append(pd.DataFrame({"policy": name, **shared, **{column: values.ravel() for column, values in columns.items()}}))
    frame = pd.concat(parts, ignore_index=True)
    return frame[list(STEP_COLUMNS)].astype({"policy": "category"})
