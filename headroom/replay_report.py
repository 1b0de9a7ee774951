"""What a replay leaves behind: figures, steps, and one self-contained page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from headroom.atomic_write import write_whole
from headroom.backtest_page.summary_words import step_words
from headroom.replay_page.frontier_chart import draw_frontier
from headroom.replay_page.replay_words import replay_words
from infra.replay.policies import CLAIRVOYANT, POLICIES
from infra.replay.result import write_result
from infra.replay.run import Replay

__all__ = ["REPLAY_FILES", "write_replay"]

REPLAY_FILES: Final = ("replay.json", "frontier.json", "steps.parquet", "replay.html")
_PAGE: Final = Path(__file__).with_name("replay_page")
# All pages look alike: the report's style, and what only this page needs.
_STYLES: Final = (Path(__file__).with_name("report_page") / "page.css", _PAGE / "page.css")


def write_replay(result: Replay, folder: Path) -> Path:
    """Write `REPLAY_FILES` to the folder, each in a single step; other files there stay. Returns the page."""
    page = _page(result)
    write_result(result, folder)
    return write_whole(folder / "replay.html", lambda path: path.write_text(page, encoding="utf-8"))


def _page(result: Replay) -> str:
    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        style=Markup("\n".join(path.read_text(encoding="utf-8") for path in _STYLES)),  # noqa: S704 - our own files
        scene=result.scene,
        terms=result.terms,
        infinity=math.inf,
        step=step_words(result.scene.step),
        measured=result.measured,
        clairvoyant=CLAIRVOYANT,
        summary=replay_words(result),
        frontier=bool(result.frontier),
        chart=draw_frontier(result) if result.frontier else None,
        equal=result.equal_unmet,
        settings={name: f"{family.setting}: {family.usual:g}" for name, family in POLICIES.items()},
    )
