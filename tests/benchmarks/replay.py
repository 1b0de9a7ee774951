"""Measure 2 of PLAN: what every policy would have cost and missed on recorded demand, with real forecasts, on the last three 72-hour windows.

    python -m tests.benchmarks.replay --data DIR --output DIR [--days-before 0] [--only grid,servers]

Forecasts are made hour by hour as they would have been issued and kept in the output folder, so that a second run only replays. Everything was
developed on the twelve days before these windows (`--days-before 9 --days 12` repeats that).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from infra.replay.forecasts import Issued, issued_from
from infra.replay.frontier import cost_at, gap_closed
from infra.replay.policies import CLAIRVOYANT
from infra.replay.run import Replay, replay
from infra.replay.scene import Scene, scene_of
from infra.replay.world import World, terms_of
from models.issued_forecasts import issue_forecasts
from models.long_frame import LongFrame
from tests.benchmarks.recordings import Recording, read_recording

DATASETS = ("servers", "grid", "matches", "fleet")
DAYS = 9
HORIZON = 13
SHARES = (0.0005, 0.001, 0.002, 0.005)
TODAY = ("reactive", "static", "google", "aws")
DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """The replayed time of a recording: `days` that end `before` days before its end."""

    days: int = DAYS
    before: int = 0


def scene_for(recording: Recording, span: Span, world: World) -> Scene:
    end = recording.series.rows["ds"].max() + recording.series.step - span.before * DAY
    return scene_of(recording.series.rows, recording.series.step, end - span.days * DAY, end, world)


def forecasts_for(recording: Recording, scene: Scene, span: Span, folder: Path) -> tuple[Issued, float]:
    """Issued every hour, and the seconds that they took (those of the first run)."""
    path = folder / f"{recording.name}-{span.days}-{span.before}.npz"
    if not path.exists():
        started = time.perf_counter()
        made = issue_forecasts(shown(recording.series, scene), list(scene.times), HORIZON, events=recording.events)
        np.savez(path, values=made.values, series=np.array(made.series), seconds=time.perf_counter() - started)
    with np.load(path) as kept:
        names = [str(name) for name in kept["series"]]
        return issued_from(scene, names, list(scene.times), kept["values"]), float(kept["seconds"])


def shown(series: LongFrame, scene: Scene) -> LongFrame:
    """The recording up to the end of the replayed time."""
    rows = series.rows[series.rows["ds"] <= scene.times[-1]].reset_index(drop=True)
    return LongFrame(rows, series.step)


def run_dataset(name: str, data: Path, folder: Path, span: Span) -> dict[str, object]:
    recording = read_recording(data, name)
    world = World()
    scene, terms = scene_for(recording, span, world), terms_of(world, recording.series.step)
    issued, seconds = forecasts_for(recording, scene, span, folder)
    started = time.perf_counter()
    result = replay(scene, terms, issued)
    spent = time.perf_counter() - started
    return {
        "series": len(scene.series),
        "steps": len(scene.times),
        "forecast_seconds": seconds,
        "replay_seconds": spent,
        "policies": {policy: told.to_json() for policy, told in result.measured.items()},
        "gaps": [gaps_at(result, share) for share in SHARES],
        "errors": forecast_errors(scene, issued),
    }


def gaps_at(result: Replay, share: float) -> dict[str, object]:
    """Cost over clairvoyant of every policy at that unmet share, and the share of the gap closed, to all others and to those in use today."""
    told = gap_closed(result.frontier, share)
    today = {name: points for name, points in result.frontier.items() if name in {*TODAY, "optimal", CLAIRVOYANT}}
    against = gap_closed(today, share)
    base = cost_at(result.frontier[CLAIRVOYANT], share)
    ratios = {name: None if cost is None or not base > 0 else cost / base for name, cost in told["cost_usd"].items()}
    return {
        "unmet": share,
        "ratios": ratios,
        "best_other": told["best_other"],
        "closed": told["gap_closed"],
        "best_today": against["best_other"],
        "closed_today": against["gap_closed"],
    }


def forecast_errors(scene: Scene, issued: Issued) -> dict[str, float]:
    """Mean absolute error of the median over mean demand, one and two steps ahead; median over series."""
    found = {}
    middle = issued.values.shape[3] // 2
    for lead in (1, 2):
        truth = scene.demand[:, lead - 1 :].T
        said = issued.values[: len(truth), :, lead - 1, middle]
        found[f"{lead}"] = float(np.median(np.abs(truth - said).mean(axis=0) / np.maximum(scene.demand.mean(axis=1), 1e-9)))
    return found


def tables(found: dict[str, dict[str, object]]) -> str:
    """The page's tables."""
    lines = [
        "| recording | series x hours | unmet | " + " | ".join(first_ratios(found)) + " | gap closed | best other | gap closed, today's |"
    ]
    lines.append("|" + "---|" * (lines[0].count("|") - 1))
    for name, told in found.items():
        for gap in told["gaps"]:  # type: ignore[attr-defined]
            ratios = ["-" if ratio is None else f"{ratio:.3f}" for ratio in gap["ratios"].values()]
            closed = ["-" if gap[key] is None else f"{gap[key]:.0%}" for key in ("closed", "closed_today")]
            lines.append(
                f"| {name} | {told['series']} x {told['steps']} | {gap['unmet']:.2%} | "
                + " | ".join(ratios)
                + f" | {closed[0]} | {gap['best_other'] or '-'} | {closed[1]} ({gap['best_today'] or '-'}) |"
            )
    lines += [
        "",
        "| recording | policy | cost USD | x clairvoyant | unmet | violated h | short | over | starts | regret USD |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, told in found.items():
        for policy, row in told["policies"].items():  # type: ignore[attr-defined]
            lines.append(
                f"| {name} | {policy} | {row['cost_usd']:,.0f} | {row['cost_over_clairvoyant']:.3f} | {row['unmet_volume']:.3%} | "
                f"{row['violated_hours']:,.0f} | {row['under_accuracy']:.1f} % | {row['over_accuracy']:.1f} % | {row['starts']:,} | {row['regret_usd']:,.0f} |"
            )
    lines += ["", "| recording | error 1 step ahead | 2 steps ahead | forecasts s | replay s |", "|---|---|---|---|---|"]
    for name, told in found.items():
        errors = told["errors"]
        lines.append(
            f"| {name} | {errors['1']:.1%} | {errors['2']:.1%} | {told['forecast_seconds']:.0f} | {told['replay_seconds']:.1f} |"  # type: ignore[index]
        )
    return "\n".join(lines) + "\n"


def first_ratios(found: dict[str, dict[str, object]]) -> list[str]:
    return list(next(iter(found.values()))["gaps"][0]["ratios"])  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--days-before", type=int, default=0)
    parser.add_argument("--only", default=",".join(DATASETS))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    span = Span(given.days, given.days_before)
    found = {name: run_dataset(name, given.data, given.output, span) for name in given.only.split(",")}
    (given.output / f"replay-{span.days}-{span.before}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(tables(found))  # noqa: T201 - a benchmark's answer


if __name__ == "__main__":
    main()
