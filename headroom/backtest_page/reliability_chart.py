"""The reliability plot: how often measurements were at most a quantile, against how often they should have been."""

from __future__ import annotations

from typing import Final

import pandas as pd
from markupsafe import Markup

__all__ = ["draw_reliability"]

_SIZE: Final = 330.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 12.0, 42.0
_TICKS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# Shaded: shares that are this close to their quantile.
_TOLERANCE: Final = 0.05
# A bar is drawn where ties (zeros, counts) make the share below and the share at most differ visibly.
_VISIBLE: Final = 0.01


def draw_reliability(reliability: pd.DataFrame) -> Markup:
    """The plot as one `<svg>` element.

    Args:
        reliability: `quantile, below, at_most, rows`, see `models.accuracy.reliability`.
    """
    worst = reliability.loc[(reliability["at_most"] - reliability["quantile"]).abs().idxmax()]
    words = (
        f"Over {int(worst['rows']):,} measurements the largest gap is at the quantile {worst['quantile']:g}: "
        f"{worst['at_most']:.1%} were at most it."
    )
    parts = [
        f'<svg class="fan reliability" viewBox="0 0 {_SIZE:g} {_SIZE:g}" role="img" aria-labelledby="reliability-t reliability-d">',
        '<title id="reliability-t">Reliability of the quantiles</title>',
        f'<desc id="reliability-d">{words}</desc>',
        *_grid(),
        f'<path class="b80" d="M{_x(0)} {_y(_TOLERANCE)}L{_x(1 - _TOLERANCE)} {_y(1)}H{_x(1)}V{_y(1 - _TOLERANCE)}L{_x(_TOLERANCE)} {_y(0)}H{_x(0)}z"/>',
        f'<path class="cutoff" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>',
    ]
    for quantile, below, at_most in reliability[["quantile", "below", "at_most"]].itertuples(index=False, name=None):
        said = f"quantile {quantile:g}: {at_most:.1%} of the measurements were at most it, {below:.1%} below it"
        if at_most - below > _VISIBLE:
            parts.append(f'<path class="ties" d="M{_x(quantile)} {_y(below)}V{_y(at_most)}"/>')
        parts.append(f'<circle class="dot" cx="{_x(quantile)}" cy="{_y(at_most)}" r="4"><title>{said}</title></circle>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - only numbers of ours inside


def _grid() -> list[str]:
    parts = []
    for share in _TICKS:
        parts.append(f'<path class="grid" d="M{_x(0)} {_y(share)}H{_x(1)}"/><path class="grid" d="M{_x(share)} {_y(0)}V{_y(1)}"/>')
        parts.append(f'<text class="tick" x="{_x(0) - 6}" y="{_y(share) + 4}" text-anchor="end">{share:.0%}</text>')
        parts.append(f'<text class="tick" x="{_x(share)}" y="{_y(0) + 17}" text-anchor="middle">{share:g}</text>')
    parts.append(f'<text class="tick" x="{_x(0.5)}" y="{_SIZE - 6}" text-anchor="middle">quantile</text>')
    parts.append(f'<text class="tick" x="{_x(0) + 6}" y="{_y(1) + 14}">measured at most</text>')
    return parts


def _x(share: float) -> float:
    return round(_LEFT + share * (_SIZE - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(_SIZE - _BOTTOM - share * (_SIZE - _TOP - _BOTTOM), 1)
