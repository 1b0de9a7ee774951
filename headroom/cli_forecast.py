"""Commands on a file: backtest and forecast. Nothing is needed but the file: no settings, no lake, no server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headroom.console import open_console
from headroom.file_commands import Events, Input, Seed, check_file, check_folder, cores, events_of, names_of, say_series

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from headroom.backtest_judgement import Judgement
    from models.long_frame import LongFrame

__all__ = ["register"]

Future = Annotated[
    Path | None, typer.Option(help="CSV or Parquet: ds, optionally unique_id, and columns of numbers known ahead, past and future.")
]
Holidays = Annotated[str | None, typer.Option(help="Country whose public holidays are events too, for example US or DE-BY.")]
Timezone = Annotated[str, typer.Option(help="Time zone of those holidays, for example America/New_York.")]
Horizon = Annotated[int, typer.Option(help="Steps ahead.", min=1)]
Freq = Annotated[str | None, typer.Option(help="Step, for example 1h or 5min. Default: the most frequent difference between rows.")]
Candidates = Annotated[str | None, typer.Option(help="Only these candidates, for example mstl,lightgbm. Default: what the engine chooses.")]
Jobs = Annotated[int | None, typer.Option(help="Processes at most. Default: one per core.", min=1)]
Totals = Annotated[
    str | None,
    typer.Option(help="Forecast services, regions and everything too, and make all agree: bottom-up, wls-var or mint-shrink."),
]

# Series without a forecast that are named on the console; metrics.json names all.
_TOLD: Final = 20


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (backtest, forecast):
        app.command()(command)


def backtest(
    source: Input,
    output: Annotated[Path, typer.Option(help="Folder for forecasts.parquet, metrics.json, leaderboard.csv, index.html.")],
    events: Events = None,
    future: Future = None,
    holidays: Holidays = None,
    timezone: Timezone = "UTC",
    horizon: Horizon = 72,
    windows: Annotated[int, typer.Option(help="Windows per series: its last non-overlapping horizons.", min=1)] = 3,
    freq: Freq = None,
    candidates: Candidates = None,
    jobs: Jobs = None,
    totals: Totals = None,
    seed: Seed = 0,
) -> None:
    """Forecast the last windows of a file from what lay before them, and say how good that was.

    Writes the forecasts, metrics, a leaderboard of all candidates and one page to look at.

    Example: headroom backtest --input demo/hourly.csv --events demo/events.csv --horizon 72 --windows 3 --output var/backtest
    """
    from dataclasses import replace

    from headroom.backtest_judgement import judge
    from headroom.backtest_report import write_backtest
    from headroom.progress_bar import ProgressBar
    from models import engine
    from models.accuracy import FINAL
    from models.frame_totals import coherent_backtest, method_of, of_given_series

    console = open_console()
    check_folder(output)
    method = method_of(totals) if totals else None
    series = _read(console, source, freq, totals=method is not None)
    happenings, regressors = _read_drivers(events, future, holidays, timezone, series)
    with ProgressBar(console) as progress:
        result = engine.backtest_frame(
            series,
            horizon=horizon,
            windows=windows,
            candidates=names_of(candidates, "--candidates"),
            events=happenings,
            future=regressors,
            seed=seed,
            progress=progress,
            jobs=jobs or cores(),
        )
    if method:
        forecasts = coherent_backtest(result.forecasts, series, method, FINAL)
        result = replace(result, forecasts=forecasts, doubted=of_given_series(result.doubted))
    judgement = judge(result, series, horizon=horizon, windows=windows)
    page = write_backtest(judgement, output)
    _print_judgement(console, judgement)
    console.print(f"page: {page}", highlight=False, soft_wrap=True)


def forecast(
    source: Input,
    output: Annotated[Path, typer.Option(help="CSV or Parquet file: unique_id, ds and one column per quantile.")],
    events: Events = None,
    future: Future = None,
    holidays: Holidays = None,
    timezone: Timezone = "UTC",
    horizon: Horizon = 72,
    freq: Freq = None,
    candidates: Candidates = None,
    jobs: Jobs = None,
    totals: Totals = None,
    seed: Seed = 0,
) -> None:
    """Train, select, calibrate and forecast every series of a file in one go.

    Example: headroom forecast --input demo/hourly.csv --events demo/events.csv --horizon 72 --output var/forecast.csv
    """
    from headroom.atomic_write import write_whole
    from headroom.errors import BadInputError
    from headroom.progress_bar import ProgressBar
    from headroom.vocabulary import QUANTILE_COLUMNS
    from models import engine
    from models.frame_totals import coherent_forecast, method_of

    console = open_console()
    check_file(output, (".csv", ".parquet"))
    method = method_of(totals) if totals else None
    series = _read(console, source, freq, totals=method is not None)
    happenings, regressors = _read_drivers(events, future, holidays, timezone, series)
    if regressors is not None:
        _say_missing_ahead(console, regressors, series, horizon)
    with ProgressBar(console) as progress:
        result = engine.forecast_frame(
            series,
            horizon=horizon,
            candidates=names_of(candidates, "--candidates"),
            events=happenings,
            future=regressors,
            seed=seed,
            progress=progress,
            jobs=jobs or cores(),
        )
    _print_left_out(console, result.left_out)
    _say_ended(console, series)
    if result.forecasts.empty:
        raise BadInputError("no series could be forecast; hand in a longer history")
    rows = result.forecasts[["unique_id", "ds", *QUANTILE_COLUMNS]]
    rows = coherent_forecast(rows, series, method) if method else rows
    table = output.suffix.lower() == ".parquet"
    write_whole(output, lambda path: rows.to_parquet(path, index=False) if table else rows.to_csv(path, index=False))
    console.print(f"{rows['unique_id'].nunique():,} series, {horizon} steps ahead: {output}", highlight=False, soft_wrap=True)


def _read(console: Console, path: Path, freq: str | None, *, totals: bool) -> LongFrame:
    from models.frame_totals import with_total_series
    from models.long_frame import read_long_frame

    read = read_long_frame(path, freq)
    series = with_total_series(read) if totals else read
    say_series(console, path, series)
    return series


def _read_drivers(
    events: Path | None, future: Path | None, holidays: str | None, timezone: str, series: LongFrame
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """(events and public holidays, regressors)."""
    from headroom.country_holidays import with_country_holidays
    from models.drivers import read_future

    happenings, regressors = events_of(events, series), (_that_meet(read_future(future), series) if future else None)
    return with_country_holidays(happenings, series, holidays, timezone), regressors


def _that_meet(future: pd.DataFrame, series: LongFrame) -> pd.DataFrame:
    """Regressors of the input's series; those that meet none of its rows would be ignored silently, and are refused."""
    from headroom.errors import BadInputError

    mine = future[future["unique_id"].isin(["", *series.rows["unique_id"].unique()])]
    if not mine["ds"].isin(series.rows["ds"]).any():
        raise BadInputError(
            "--future: no row has a series and a time of the input; give its unique_id and ds for the past too, so that their effect is learnt"
        )
    return mine.reset_index(drop=True)


def _say_missing_ahead(console: Console, future: pd.DataFrame, series: LongFrame, horizon: int) -> None:
    """Say which of the steps that most series are forecast for `future` does not tell."""
    import pandas as pd

    last = series.rows.groupby("unique_id")["ds"].max().mode().max()
    ahead = pd.date_range(last + series.step, periods=horizon, freq=series.step)
    missing = ahead[~ahead.isin(future.dropna()["ds"])]
    if len(missing):
        console.print(
            f"  --future lacks {len(missing):,} of the {horizon:,} steps ahead, from {missing[0]} on: they go without it; give it for all of them",
            style="yellow",
            highlight=False,
        )


def _say_ended(console: Console, series: LongFrame) -> None:
    """Say which series ended before the last one did: what lies ahead of them is not what lies ahead of the others."""
    ends = series.rows.groupby("unique_id")["ds"].max()
    for name, end in list(ends[ends < ends.max()].items())[:_TOLD]:
        console.print(f"{name} is forecast from its own end: it was last measured at {end}", style="yellow", highlight=False)
    if (more := int((ends < ends.max()).sum()) - _TOLD) > 0:
        console.print(f"and {more:,} more end before {ends.max()}", style="yellow", highlight=False)


def _print_judgement(console: Console, judgement: Judgement) -> None:
    from rich.table import Table

    from headroom.backtest_page.summary_words import summary_words

    table = Table(box=None, pad_edge=False)
    table.add_column("candidate")
    for name in ("loss x naive", "WQL", "MASE", "in 80 %", "in 98 %", "served", "CPU s"):
        table.add_column(name, justify="right", no_wrap=True)
    columns = ("relative_wql", "wql", "mase", "coverage_0.8", "coverage_0.98", "served", "seconds")
    forms = ("{:.3f}", "{:.4f}", "{:.3f}", "{:.1%}", "{:.1%}", "{:.0%}", "{:.1f}")
    for row in judgement.leaderboard.to_dict("records"):
        cells = ["-" if row[column] != row[column] else form.format(row[column]) for column, form in zip(columns, forms, strict=True)]
        table.add_row(str(row["candidate"]), *cells, style="bold" if row["candidate"] == "headroom" else None)
    console.print(table)
    for sentence in summary_words(judgement):
        console.print(sentence, highlight=False)
    _print_left_out(console, judgement.result.left_out)


def _print_left_out(console: Console, left_out: dict[str, str]) -> None:
    for name, why in list(left_out.items())[:_TOLD]:
        console.print(f"no forecast for {name}: {why}", style="yellow", highlight=False)
    if len(left_out) > _TOLD:
        console.print(f"no forecast for {len(left_out) - _TOLD:,} more", style="yellow", highlight=False)
