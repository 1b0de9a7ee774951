"""Cost against unmet demand, one line per policy, as SVG: down and left is better."""

from __future__ import annotations

import math
from typing import Final

from markupsafe import Markup, escape

from headroom.backtest_page.axes import value_ticks
from infra.replay.frontier import Point, lower_edge
from infra.replay.policies import CLAIRVOYANT
from infra.replay.run import Replay

__all__ = ["draw_frontier"]

_WIDTH, _HEIGHT = 720.0, 400.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 108.0, 14.0, 46.0
# Shares of demand that are named on the axis, which is logarithmic.
_SHARES: Final = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_LEAST: Final = 1e-6
# Dearer than this times the clairvoyant plan is drawn at the upper edge.
_MOST_RATIO: Final = 2.5
# Who misses more than this is no alternative, and would squeeze the others.
_MOST_UNMET: Final = 0.03
_LABEL_ROOM: Final = 14.0


def draw_frontier(result: Replay) -> Markup | None:
    """One `<svg>` element that is styled by the page and readable without it being seen; None where every setting misses too much to be shown."""
    base = result.measured[CLAIRVOYANT].cost_usd or 1.0
    shown = {name: [point for point in lower_edge(points) if point.unmet_volume <= _MOST_UNMET] for name, points in result.frontier.items()}
    lines = {name: [_scaled(point, base) for point in points] for name, points in shown.items() if points}
    if not lines:
        return None
    shares = [x for line in lines.values() for x, _ in line]
    low, high = _span(shares)
    ticks = value_ticks(min(1.0, min(y for line in lines.values() for _, y in line)), max(y for line in lines.values() for _, y in line))
    place = _Place(low, high, ticks[0], ticks[-1])
    words = "; ".join(
        f"{name} {told.cost_over_clairvoyant:.2f} at {100 * told.unmet_volume:.3g} %" for name, told in result.measured.items()
    )
    parts = [
        f'<svg class="fan frontier" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-labelledby="frontier-t frontier-d">',
        '<title id="frontier-t">Cost against unmet demand, by policy</title>',
        f'<desc id="frontier-d">Cost over the clairvoyant plan, at the usual settings: {escape(words)}.</desc>',
        *_grid(place, ticks),
    ]
    numbers = {name: number for number, name in enumerate(result.frontier)}
    for name, line in lines.items():
        parts.append(_line(place, name, numbers[name], line))
        if result.measured[name].unmet_volume <= _MOST_UNMET:
            parts.append(_dot(place, name, numbers[name], result, base))
    parts += _labels(place, lines, numbers)
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - every text inside went through escape()


class _Place:
    """Where a share of unmet demand and a cost lie."""

    def __init__(self, low: float, high: float, bottom: float, top: float) -> None:
        self.low, self.high, self.bottom, self.top = low, high, bottom, top

    def x(self, share: float) -> float:
        part = (math.log10(max(share, self.low)) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return round(_LEFT + min(1.0, part) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, ratio: float) -> float:
        part = (min(max(ratio, self.bottom), self.top) - self.bottom) / (self.top - self.bottom)
        return round(_HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM), 1)


def _scaled(point: Point, base: float) -> tuple[float, float]:
    return max(point.unmet_volume, _LEAST), min(point.cost_usd / base, _MOST_RATIO)


def _span(shares: list[float]) -> tuple[float, float]:
    low = max((share for share in _SHARES if share <= min(shares)), default=_LEAST)
    high = min((share for share in _SHARES if share >= max(shares)), default=1.0)
    return low, max(high, 10 * low)


def _grid(place: _Place, ticks: list[float]) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in ticks:
        y = place.y(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y}H{right}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 7}" y="{y + 4}" text-anchor="end">{value:g}x</text>')
    for share in _SHARES:
        if place.low <= share <= place.high:
            x = place.x(share)
            parts.append(f'<path class="day" d="M{x} {_TOP}V{bottom + 4}"/>')
            parts.append(f'<text class="tick" x="{x}" y="{bottom + 18}" text-anchor="middle">{100 * share:g} %</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">demand that was not served</text>')
    return parts


def _line(place: _Place, name: str, number: int, line: list[tuple[float, float]]) -> str:
    path = " ".join(f"{place.x(x):g} {place.y(y):g}" for x, y in line)
    return f'<path class="policy p{number}" data-policy="{escape(name)}" d="M{path}"/>'


def _dot(place: _Place, name: str, number: int, result: Replay, base: float) -> str:
    told = result.measured[name]
    x, y = place.x(max(told.unmet_volume, _LEAST)), place.y(told.cost_usd / base)
    words = f"{name}: {told.cost_usd:,.0f} USD, {told.cost_usd / base:.3f} times clairvoyant, {100 * told.unmet_volume:.3g} % not served"
    return f'<circle class="policy-dot p{number}" cx="{x}" cy="{y}" r="4.5"><title>{escape(words)}</title></circle>'


def _labels(place: _Place, lines: dict[str, list[tuple[float, float]]], numbers: dict[str, int]) -> list[str]:
    """Names at the right end of their lines, moved apart where they would touch."""
    wanted = sorted((place.y(line[-1][1]), numbers[name], name) for name, line in lines.items())
    parts, last = [], -math.inf
    for y, number, name in wanted:
        last = max(y, last + _LABEL_ROOM)
        parts.append(f'<text class="name p{number}" x="{_WIDTH - _RIGHT + 8}" y="{last + 4}">{escape(name)}</text>')
    return parts
