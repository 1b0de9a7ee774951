"""What the commands on a file have in common: their options, what is read and said first, and the folder that is written to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from models.long_frame import LongFrame

__all__ = ["Events", "Input", "Seed", "check_file", "check_folder", "cores", "events_of", "names_of", "say_series"]

Input = Annotated[Path, typer.Option("--input", help="CSV or Parquet with the columns unique_id, ds, y; gaps are allowed.")]
Events = Annotated[
    Path | None,
    typer.Option(help="CSV or Parquet: start, end, kind and optionally title, region, service, unique_id, strength, known_at."),
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.", min=0)]


def names_of(text: str | None, option: str) -> tuple[str, ...]:
    """The names of an option that takes several, parted by commas; none when it is not given.

    Raises:
        BadInputError: when it is given and names nothing.
    """
    from headroom.errors import BadInputError

    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and not names:
        raise BadInputError(f"{option} {text!r} names nothing; give names parted by commas, or leave it out for all")
    return names


def check_folder(output: Path) -> None:
    """Refuse, before a long calculation, what is no folder to write to; one that is not there yet is made later.

    Raises:
        BadInputError: when it is a file, lies in one, or may not be written to.
    """
    from headroom.errors import BadInputError

    there = next(place for place in (output.absolute(), *output.absolute().parents) if place.exists())
    if not there.is_dir():
        raise BadInputError(f"--output {output}: expected a folder, {there} is a file; choose another name")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadInputError(f"--output {output}: there is no right to write to {there}; choose another place")


def check_file(output: Path, extensions: Sequence[str]) -> None:
    """Refuse, before a long calculation, what is no file to write to.

    Raises:
        BadInputError: when it has none of the extensions, is a folder, or its folder may not be written to.
    """
    from headroom.errors import BadInputError

    if output.suffix.lower() not in extensions:
        raise BadInputError(f"--output {output}: expected a file that ends in {' or '.join(extensions)}")
    if output.is_dir():
        raise BadInputError(f"--output {output}: expected a file, there is a folder of this name; choose another name")
    check_folder(output.parent)


def events_of(path: Path | None, series: LongFrame) -> pd.DataFrame | None:
    """The events of a file; None without one.

    Raises:
        BadInputError: as `models.drivers.read_events`, and when none concerns a series of the input: they would be ignored silently.
    """
    from headroom.errors import BadInputError
    from models.drivers import read_events
    from models.visible_events import events_of_series

    if path is None:
        return None
    events = read_events(path)
    whom = events[["region", "service", "unique_id"]].drop_duplicates()
    names = [str(name) for name in series.rows["unique_id"].unique()]
    if not any(len(events_of_series(whom, name)) for name in names):
        told = next(f"{column} {value!r}" for column, value in whom.iloc[0].items() if value)
        raise BadInputError(
            f"events {path}: none concerns a series of the input, such as {names[0]!r}; row 1 is for {told}: write it as in unique_id "
            "(region/service/resource), or leave it empty for all"
        )
    return events


def say_series(console: Console, path: Path, series: LongFrame) -> None:
    """How much was read from where, and what reading left out."""
    from headroom.backtest_page.summary_words import step_words

    count, rows = series.rows["unique_id"].nunique(), len(series.rows)
    console.print(f"{path}: {count:,} series, {rows:,} rows, step {step_words(series.step)}", highlight=False, soft_wrap=True)
    for note in series.notes:
        console.print(f"  {note}", style="yellow", highlight=False)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
