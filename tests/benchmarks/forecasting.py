"""The forecasting engine beside its peers: accuracy, the M4 competition's hourly series, calibration, cost.

    .venv/bin/python -m tests.benchmarks.forecasting --data DIR --output DIR
    ... --python ENV/bin/python        also AutoGluon, from an environment of its own (autogluon.timeseries and torch for CPU)
    ... --only accuracy,m4             some parts
    ... --peers FLAIR,AutoETS          some peers; "none" for none
    ... --reuse                        peers' forecasts and CPU time from --output, where an earlier run has kept them
    ... --page docs/benchmarks.md      write tables and pictures into the page, too

DIR holds servers, grid, matches (with matches_events.csv), gpu_queues, fleet and m4_hourly as Parquet files `unique_id, ds, y`. Writes
tables (forecasting.md), pictures, and CSV files with every figure. On the page, tables stand between `<!-- name -->` and `<!-- /name -->`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

import pandas as pd

from headroom.errors import BadInputError
from tests.benchmarks import accuracy, calibration, cost
from tests.benchmarks.peers import AUTOGLUON, PEERS, Peer, autogluon
from tests.benchmarks.recordings import DEVELOPED_ON, M4

PARTS = ("accuracy", "m4", "calibration", "cost")
Bar = tuple[str, str, float, bool]


def main() -> None:
    options = _options()
    options.output.mkdir(parents=True, exist_ok=True)
    blocks: dict[str, pd.DataFrame] = {}
    names = [*(DEVELOPED_ON if "accuracy" in options.only else ()), *([M4] if "m4" in options.only else [])]
    if names:
        blocks |= _accuracy(options, names)
    if "calibration" in options.only:
        blocks |= _calibration(options)
    if "cost" in options.only:
        blocks |= _cost(options)
    tables = {name: _markdown(table) for name, table in blocks.items()}
    (options.output / "forecasting.md").write_text("\n".join(f"## {name}\n\n{text}\n" for name, text in tables.items()))
    sys.stdout.write("\n".join(f"{name}\n{table.to_string(index=False)}\n" for name, table in blocks.items()))
    if options.page:
        write_page(options.page, tables, options.output)


def write_page(page: Path, tables: dict[str, str], folder: Path) -> None:
    """Put tables between their marks, and pictures that the page shows beside it."""
    text = page.read_text()
    for name, table in tables.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = marks.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    page.write_text(text)
    for picture in folder.glob("*.png"):
        if f"images/{picture.name}" in text:
            shutil.copy(picture, page.parent / "images" / picture.name)


def _accuracy(options: argparse.Namespace, names: list[str]) -> dict[str, pd.DataFrame]:
    found = accuracy.run_accuracy(options.data, options.output, _peers(options), names, reuse=options.reuse, kept=options.kept)
    found.measures.to_csv(options.output / "accuracy.csv", index=False)
    found.parts.to_csv(options.output / "candidates.csv", index=False)
    accuracy.draw_accuracy(found, options.output / "forecasting-accuracy.png")
    return {
        "bars-accuracy": _bars(accuracy.bars(found)),
        "wql": accuracy.wql_table(found),
        "ratios": accuracy.ratio_table(found),
        "field": accuracy.field_table(found),
        "mase": accuracy.measure_table(found, "MASE"),
        "covers-80": accuracy.measure_table(found, "covers 80", percent=True),
        "covers-98": accuracy.measure_table(found, "covers 98", percent=True),
        "cpu": accuracy.measure_table(found, "CPU s"),
        "candidates": accuracy.parts_table(found),
        "hindsight": accuracy.bounds_table(found),
    }


def _calibration(options: argparse.Namespace) -> dict[str, pd.DataFrame]:
    rows = calibration.run_calibration(options.data, list(DEVELOPED_ON))
    table = calibration.coverage_table(rows)
    table.to_csv(options.output / "calibration.csv", index=False)
    calibration.draw_calibration(rows, options.output / "forecasting-calibration.png")
    return {"bars-calibration": _bars(calibration.bars(rows)), "calibration": table, "calibration-doubt": calibration.doubt_table(rows)}


def _cost(options: argparse.Namespace) -> dict[str, pd.DataFrame]:
    found = cost.run_cost(options.data, large=options.large)
    for name, table in found.items():
        table.to_csv(options.output / f"cost-{name}.csv", index=False)
    cost.draw_cost(found, options.output / "forecasting-cost.png")
    return {
        "bars-cost": _bars(cost.bars(found)),
        "cost": cost.whole_table(found["whole"], told=True),
        "cost-growth": cost.whole_table(found["growth"], told=False),
        "cost-peer": cost.peer_table(found),
        "cost-again": cost.again_table(found["again"]),
    }


def _peers(options: argparse.Namespace) -> dict[str, Peer]:
    known = dict(PEERS)
    if options.python:
        known[AUTOGLUON] = autogluon(options.python)
    else:
        sys.stderr.write(f"{AUTOGLUON} is not run: no --python\n")
    wanted = list(known) if options.peers is None else options.peers
    if unknown := sorted(set(wanted) - set(known) - {"none"}):
        raise BadInputError(f"peer {unknown[0]!r} is unknown or has no environment; known: {', '.join(known)}")
    # The naives with normal intervals are the floor of a table: they are always there.
    return {name: peer for name, peer in known.items() if name in wanted or name in accuracy.NAIVES["normal"]}


def _bars(rows: list[Bar]) -> pd.DataFrame:
    told = [
        {"measure": what, "bar": bar, "measured": float(f"{value:.3g}"), "met": "yes" if met else "no"} for what, bar, value, met in rows
    ]
    return pd.DataFrame(told, columns=["measure", "bar", "measured", "met"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the recordings")
    parser.add_argument("--output", type=Path, required=True, help="folder for tables, pictures and the peers' forecasts")
    parser.add_argument("--only", type=_list, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--peers", type=_list, default=None, help="some of the peers, by name")
    parser.add_argument("--python", type=Path, help="Python of an environment with AutoGluon; without it AutoGluon is not run")
    parser.add_argument("--reuse", action="store_true", help="take what an earlier run has kept of the peers")
    parser.add_argument("--kept", action="store_true", help="run no peer: take those that earlier runs have kept")
    parser.add_argument("--large", action="store_true", help="cost of 5,000 series, too")
    parser.add_argument("--page", type=Path, help="a page to write the tables into")
    found = parser.parse_args()
    if unknown := sorted(set(found.only) - set(PARTS)):
        parser.error(f"--only {unknown[0]}: expected some of {','.join(PARTS)}")
    return found


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _markdown(table: pd.DataFrame) -> str:
    head = "| " + " | ".join(str(name) for name in table.columns) + " |\n|" + "---|" * len(table.columns)
    lines = ["| " + " | ".join("" if value != value else _cell(value) for value in row) + " |" for row in table.itertuples(index=False)]
    return "\n".join([head, *lines])


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e5 else str(value)


if __name__ == "__main__":
    main()
