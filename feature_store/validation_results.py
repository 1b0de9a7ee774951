"""The validation results of past windows, kept as JSON until Data Docs are built from them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from feature_store.validation import Window

__all__ = ["KEPT_WINDOWS", "prune_results", "read_results", "save_results"]

# One page per contract and window: 50 windows are two days of hourly runs and 250 pages.
KEPT_WINDOWS: Final = 50
_FOLDER: Final = "results"


def save_results(work: Path, window: Window, results: Sequence[dict[str, Any]]) -> Path:
    """Write one file per contract; the same window at the same issue time replaces its former files.

    Returns:
        The folder of the window's results.
    """
    stamp = "%Y%m%dT%H%MZ"
    name = f"{window.issue_time:{stamp}}_{window.source.name}_{window.start:{stamp}}_{window.end:{stamp}}"
    folder = work / _FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    for result in results:
        document = {"run_name": name, "run_time": window.issue_time.isoformat(), "result": result}
        target = folder / f"{result['suite_name']}.json"
        building = target.with_suffix(f".{os.getpid()}.part")
        building.write_text(json.dumps(document), encoding="utf-8")
        building.replace(target)
    return folder


def read_results(work: Path) -> Iterator[dict[str, Any]]:
    """Every kept result, oldest issue time first: `run_name`, `run_time`, `result`."""
    for path in sorted((work / _FOLDER).glob("*/*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def prune_results(work: Path, keep: int = KEPT_WINDOWS) -> None:
    """Delete the results of all but the `keep` windows with the newest issue time."""
    windows = sorted(path for path in (work / _FOLDER).glob("*") if path.is_dir())
    for folder in windows[: max(0, len(windows) - keep)]:
        shutil.rmtree(folder, ignore_errors=True)  # another run may be pruning too
