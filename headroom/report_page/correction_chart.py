"""A day of one service's machines as SVG: what the plans held hot and warm, what was needed between them, and what ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from headroom.corrected import MACHINES, Corrected
from headroom.report_page.scales import Frame, nice_ticks
from headroom.summary_text import amount

__all__ = ["CorrectionFigure", "correction_figures", "draw_correction"]

_WIDTH, _HEIGHT = 620.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 12.0, 14.0, 24.0
_DAY: Final = pd.Timedelta("1D")
_TICKS: Final = "4h"
_FIGURES: Final = ["planned", "total", "ran", "needed"]


@dataclass(frozen=True)
class CorrectionFigure:
    """One picture and what it is of."""

    region: str
    service: str
    machine_type: str
    svg: Markup


def correction_figures(corrected: Corrected, *, most: int) -> list[CorrectionFigure]:
    """A picture of the last day for machines that were corrected in it, those with the most machine-hours first, `most` at most."""
    start = corrected.until - _DAY
    busy = [spell for spell in corrected.spells if spell.end > start]
    order: dict[tuple[str, str, str], float] = {}
    for spell in busy:
        key = (spell.region, spell.service, spell.machine_type)
        order[key] = order.get(key, 0.0) + spell.machine_hours
    return [
        CorrectionFigure(*key, draw_correction(key, _steps(corrected, key, start), number))
        for number, key in enumerate(sorted(order, key=lambda key: (-order[key], key))[:most])
    ]


def draw_correction(key: tuple[str, str, str], steps: pd.DataFrame, number: int) -> Markup:
    """One `<svg>` element that is styled by the page and readable without it being seen.

    Args:
        steps: `start, end, planned, total, ran, needed`, one row per stretch of time without a change, in order; `needed` is NaN where nothing was corrected.
        number: of the picture on the page.
    """
    region, service, machine_type = key
    ticks = nice_ticks(float(np.nanmax(steps[_FIGURES].to_numpy(dtype=float))), 3)
    start = steps["start"].iloc[0]
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    frame = Frame(_LEFT, _TOP, width, height, start=start, issue_time=start, end=steps["end"].iloc[-1], top_value=ticks[-1])
    name = f"correction-{number}"
    parts = [
        f'<svg class="fan machines" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escape(f"{machine_type} of {service} in {region}: planned, needed and running")}</title>',
        f'<desc id="{name}-d">{escape(_description(steps))}</desc>',
        *_grid(frame, ticks),
        _area(frame, steps, "planned", "ran", "beyond"),
        _area(frame, steps, "ran", "needed", "lacking"),
        f'<path class="warm" d="{_line(frame, steps, "total")}"/>',
        f'<path class="hot" d="{_line(frame, steps, "planned")}"/>',
        f'<path class="needed" d="{_line(frame, steps, "needed")}"/>',
        *_hover(frame, steps),
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704 - every text inside went through escape()


def _steps(corrected: Corrected, key: tuple[str, str, str], start: pd.Timestamp) -> pd.DataFrame:
    """The day of one kind of machines as `draw_correction` takes it, from the first moment that the ledger knows."""
    rows, held = (frame[(frame[MACHINES] == list(key)).all(axis=1)].drop(columns=MACHINES) for frame in (corrected.rows, corrected.held))
    edges = pd.concat([held["ds"], rows["issue_time"], rows["until"], rows["ends"], pd.Series([start, corrected.until])])
    edges = edges[edges.between(start, corrected.until)].drop_duplicates().sort_values(ignore_index=True).astype("datetime64[us, UTC]")
    steps = pd.DataFrame({"start": edges.iloc[:-1], "end": edges.shift(-1).iloc[:-1]})
    steps = pd.merge_asof(steps, held.sort_values("ds"), left_on="start", right_on="ds")
    told = rows[["issue_time", "until", "ends", "planned", "standby", "needed", "ran"]].astype(
        {"planned": float, "standby": float, "needed": float}
    )
    steps = pd.merge_asof(steps, told.sort_values("issue_time"), left_on="start", right_on="issue_time")
    over = ~(steps["ends"] > steps["start"])
    steps[["planned", "standby", "needed", "ran"]] = steps[["planned", "standby", "needed", "ran"]].mask(over)
    steps["needed"] = steps["needed"].where(steps["until"] > steps["start"])
    steps["ran"] = steps["ran"].fillna(steps["hot"]).fillna(steps["planned"])
    steps["planned"] = steps["planned"].fillna(steps["ran"])
    steps["total"] = (steps["planned"] + steps["standby"]).fillna(steps["hot"] + steps["warm"])
    known = steps.dropna(subset=["ran"])[["start", "end", *_FIGURES]]
    figures = known[_FIGURES].fillna(-1.0)
    changed = (figures != figures.shift()).any(axis=1)
    ends = known["end"].where(changed.shift(-1, fill_value=True)).bfill()
    return known.assign(end=ends)[changed].reset_index(drop=True)


def _description(steps: pd.DataFrame) -> str:
    told = steps[steps["needed"] > steps["planned"]]
    words = [
        f"{start:%a %H:%M} to {end:%H:%M}: {needed:g} needed, {planned:g} hot and {total - planned:g} warm planned, {ran:g} ran."
        for start, end, planned, total, ran, needed in told.itertuples(index=False, name=None)
    ]
    return " ".join(words[:8]) + (f" And {len(words) - 8} more." if len(words) > 8 else "")


def _grid(frame: Frame, ticks: list[float]) -> list[str]:
    parts = []
    for value in ticks:
        y = frame.y(value)
        parts.append(f'<path class="grid" d="M{frame.left} {y}H{frame.right}"/>')
        parts.append(f'<text class="tick" x="{frame.left - 7}" y="{y + 3.5}" text-anchor="end">{amount(value)}</text>')
    for hour in pd.date_range(frame.start.ceil(_TICKS), frame.end, freq=_TICKS):
        x = frame.x(hour)
        parts.append(f'<path class="day" d="M{x} {frame.top}V{frame.bottom + 4}"/>')
        name = f"{hour:%a} {hour.day}" if hour.hour == 0 else f"{hour:%H:%M}"
        parts.append(f'<text class="tick" x="{x}" y="{frame.bottom + 18}" text-anchor="middle">{name}</text>')
    return parts


def _area(frame: Frame, steps: pd.DataFrame, low: str, high: str, name: str) -> str:
    """Where `high` is above `low`."""
    rows = steps[steps[high] > steps[low]]
    lefts, rights = frame.xs(rows["start"]), frame.xs(rows["end"])
    tops, bottoms = frame.ys(rows[high]), frame.ys(rows[low])
    boxes = [f"M{x:g} {b:g}V{t:g}H{r:g}V{b:g}Z" for x, r, t, b in zip(lefts, rights, tops, bottoms, strict=True)]
    return f'<path class="{name}" d="{"".join(boxes)}"/>' if boxes else ""


def _line(frame: Frame, steps: pd.DataFrame, column: str) -> str:
    """A line that keeps each amount from its start to its end, with gaps where there is none."""
    known = steps[steps[column].notna()]
    paths = []
    for _, part in known.groupby((known["start"] != known["end"].shift()).cumsum()):
        xs = np.column_stack([frame.xs(part["start"]), frame.xs(part["end"])]).ravel()
        paths.append("M" + " ".join(f"{x:g} {y:g}" for x, y in zip(xs, np.repeat(frame.ys(part[column]), 2), strict=True)))
    return "".join(paths)


def _hover(frame: Frame, steps: pd.DataFrame) -> list[str]:
    """An invisible column per stretch whose tooltip has its figures."""
    parts = []
    for left, right, row in zip(frame.xs(steps["start"]), frame.xs(steps["end"]), steps.to_dict("records"), strict=True):
        words = f"{row['start']:%a %d %b %H:%M} to {row['end']:%H:%M} UTC\n{row['planned']:g} hot and {row['total'] - row['planned']:g} warm planned"
        words += "" if pd.isna(row["needed"]) else f"\n{row['needed']:g} needed, {row['ran']:g} ran"
        parts.append(f'<path d="M{left:g} {frame.top}V{frame.bottom}H{right:g}V{frame.top}z"><title>{escape(words)}</title></path>')
    return ['<g class="hover">', *parts, "</g>"]
