"""The command that replays recorded demand with several policies: nothing is needed but the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headroom.console import open_console
from headroom.file_commands import Events, Input, Seed, check_folder, cores, events_of, names_of, say_series

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from headroom.progress_bar import ProgressBar
    from infra.replay.forecasts import Issued
    from infra.replay.run import Replay
    from infra.replay.scene import Scene
    from models.long_frame import LongFrame

__all__ = ["register"]

Policies = Annotated[str | None, typer.Option(help="For example optimal,reactive. Default: all. Clairvoyant always runs beside them.")]
Start = Annotated[
    str | None,
    typer.Option("--from", help="First step, UTC, for example 2026-06-01T00:00. Default: 7 days before the end, or after 3 days."),
]
Step = Annotated[
    str | None, typer.Option("--step", "--freq", help="Step, for example 1h or 5min. Default: the most frequent difference between rows.")
]
WorldFile = Annotated[Path | None, typer.Option(help="YAML with prices, lead times and chances. Default: a common machine at list price.")]
ForecastFile = Annotated[
    Path | None,
    typer.Option(
        help="Forecasts as issued: unique_id, cutoff, ds and quantiles. Default: the engine makes them, as it would have then.",
    ),
]
Frontier = Annotated[bool, typer.Option(help="Run every policy at all its settings, for the picture of cost against unmet demand.")]
StockOuts = Annotated[
    float,
    typer.Option(help="Share of the time in which nothing can be started, resumed or bought, at random per series.", min=0, max=0.5),
]

# Fewer forecasts of a series are made before another process has started.
_FORECASTS_PER_WORKER: Final = 2000


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(replay)


def replay(
    source: Input,
    output: Annotated[Path, typer.Option(help="Folder for replay.json, frontier.json, steps.parquet, replay.html.")],
    policies: Policies = None,
    start: Start = None,
    end: Annotated[str | None, typer.Option("--to", help="First step that is not replayed. Default: the end of most series.")] = None,
    step: Step = None,
    world: WorldFile = None,
    forecasts: ForecastFile = None,
    events: Events = None,
    issue_every: Annotated[str | None, typer.Option(help="Time between two forecasts. Default: 1h, or the step if it is longer.")] = None,
    frontier: Frontier = True,
    stock_outs: StockOuts = 0.0,
    seed: Seed = 0,
) -> None:
    """Walk the clock over recorded demand: what every policy would have cost and missed, from what was known then.

    Example: headroom replay --input demo/hourly.csv --events demo/events.csv --policies optimal,reactive,static --output var/replay
    """
    from headroom.progress_bar import ProgressBar
    from headroom.replay_report import write_replay
    from infra.replay.policies import needs_forecasts
    from infra.replay.run import replay as run_replay
    from infra.replay.run import stock_outs as random_stock_outs
    from infra.replay.scene import scene_of
    from infra.replay.world import read_world, terms_of
    from models.long_frame import read_long_frame, step_of

    console = open_console()
    check_folder(output)
    names, rules = names_of(policies, "--policies"), read_world(world)
    forecast, every = needs_forecasts(names), step_of(issue_every, "--issue-every") if issue_every else None
    series = read_long_frame(source, step)
    say_series(console, source, series)
    first, last = _times(series, start, end)
    scene, terms = scene_of(series.rows, series.step, first, last, rules), terms_of(rules, series.step)
    for name, why in scene.left_out.items():
        console.print(f"  {name} is left out: {why} from {first} to {last}", style="yellow", highlight=False, soft_wrap=True)
    with ProgressBar(console) as progress:
        issued = _issued(series, scene, forecasts, events, every, seed, progress) if forecast else None
        out = random_stock_outs(scene, stock_outs, rules.stock_out_hours, rules.stock_out_seed) if stock_outs else None
        result = run_replay(scene, terms, issued, names, frontier=frontier, stock_out=out, listener=progress)
    _say_missing(console, scene, issued)
    page = write_replay(result, output)
    _print(console, result)
    console.print(f"page: {page}", highlight=False, soft_wrap=True)


def _times(series: LongFrame, start: str | None, end: str | None) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First step, and first step that is not replayed; UTC without a zone, on the grid of the input."""
    from headroom.issue_time import as_utc

    first = series.rows["ds"].min()
    ends = series.rows.groupby("unique_id")["ds"].max().sort_values()
    over = ends.iloc[(len(ends) - 1) // 2] + series.step
    last = as_utc(end, "--to").tz_localize(None) if end else over
    begin = as_utc(start, "--from").tz_localize(None) if start else _usual_start(first, last, series.step)
    begin, last = (first + -(-(moment - first) // series.step) * series.step for moment in (begin, last))
    return begin, last


def _usual_start(first: pd.Timestamp, last: pd.Timestamp, step: pd.Timedelta) -> pd.Timestamp:
    """Seven days before the end, where that leaves the three days of history that a forecast needs; else after these, if there are more."""
    import pandas as pd

    enough = first + pd.Timedelta(days=3)
    return max(last - pd.Timedelta(days=7), enough if enough < last else first + step)


def _issued(
    series: LongFrame, scene: Scene, given: Path | None, events: Path | None, every: pd.Timedelta | None, seed: int, progress: ProgressBar
) -> Issued:
    """The forecasts of a file, or those that the engine would have made."""
    import pandas as pd

    from infra.replay.forecasts import issued_from, read_issued
    from models.issued_forecasts import issue_forecasts

    if given is not None:
        return read_issued(given, scene)
    gap = every or max(pd.Timedelta(hours=1), scene.step)
    stride = max(1, round(gap / scene.step))
    # Far enough for a plan of twelve steps right before the next forecast.
    horizon = stride + 12 + 12 * (stride > 1)
    made = issue_forecasts(
        series,
        list(scene.times[::stride]),
        horizon,
        events=events_of(events, series),
        seed=seed,
        progress=progress,
        jobs=_jobs(scene, stride),
    )
    return issued_from(scene, made.series, made.issue_times, made.values)


def _jobs(scene: Scene, stride: int) -> int:
    """Processes worth starting: a new one costs seconds before it works."""
    forecasts = len(scene.times) // stride * len(scene.series)
    return cores() if forecasts >= _FORECASTS_PER_WORKER else 1


def _say_missing(console: Console, scene: Scene, issued: Issued | None) -> None:
    """One line about the series that no forecast was there for."""
    if issued is None or not issued.missing:
        return
    named = ", ".join(issued.missing[:3]) + (", ..." if len(issued.missing) > 3 else "")
    console.print(
        f"  {len(issued.missing)} of {len(scene.series)} series have no forecast ({named}): they are expected to stay as they were last measured",
        style="yellow",
        highlight=False,
        soft_wrap=True,
    )


def _print(console: Console, result: Replay) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("policy")
    for name in ("cost USD", "x clairvoyant", "unmet", "violated h", "short %", "over %", "starts", "regret USD"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, told in result.measured.items():
        cells = [f"{told.cost_usd:,.0f}", f"{told.cost_over_clairvoyant:.3f}", f"{told.unmet_volume:.3%}", f"{told.violated_hours:,.0f}"]
        cells += [f"{told.under_accuracy:.2f}", f"{told.over_accuracy:.2f}", f"{told.starts:,}", f"{told.regret_usd:,.0f}"]
        table.add_row(name, *cells, style="bold" if name == "optimal" else None)
    console.print(table)
