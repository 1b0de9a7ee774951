"""What one unit more of a limit would save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from infra.program.highs import LinearSolution
from infra.program.layout import Layout
from infra.program.problem import FloatArray, IntArray, Problem

__all__ = ["ShadowPrice", "shadow_prices"]

# Below this a price is float noise.
_LEAST_USD: Final = 1e-6


@dataclass(frozen=True)
class ShadowPrice:
    """A limit that binds: raising it by one `unit` for the whole horizon saves `usd_per_day`, never below 0.

    Attributes:
        kind: "quota", "share" (of it, fairly), "lending", "link", "budget" or "flaps". name: what is limited, for example "n2 in europe-west9".
        of: the problem's indices of what is limited: region and family of a quota, place and family of a share, the region that lends, the link,
            the place of flaps; none for the budget.
        unit: of the limit. usd_per_day: saving of one unit more, averaged over the horizon's days.
        blocks: the hour blocks (for budget and flaps: the days) in which it binds.
    """

    kind: str
    name: str
    unit: str
    usd_per_day: float
    blocks: tuple[int, ...]
    of: tuple[int, ...] = ()

    def __str__(self) -> str:
        """The sentence that a plan's reason carries."""
        return f"one more {self.unit} of {self.kind} ({self.name}) saves {self.usd_per_day:,.2f} USD/day"


def shadow_prices(problem: Problem, layout: Layout, optimum: LinearSolution) -> tuple[ShadowPrice, ...]:
    """The limits that bind in the linear program, dearest first. Duals of a degenerate optimum are one of several right answers."""
    days = float(problem.block_hours.sum()) / 24
    # The last day may be a part of one: it has its part of the budget, and of what a dollar more per day brings.
    savings = optimum.savings.copy()
    savings[layout.budget[-1:][layout.budget[-1:] >= 0]] *= min(float(problem.budget_hours[-1].sum()) / 24, 1.0)
    links = problem.leases.links if problem.leases is not None else ()
    groups: list[tuple[str, str, list[str], IntArray]] = [
        ("quota", "unit", [f"{family} in {region}" for region in problem.regions for family in problem.families], layout.limit),
        ("share", "unit", [f"{family} of {place}" for place in problem.places for family in problem.families], layout.share),
        ("lending", "unit", [f"lent by {region}" for region in problem.regions], layout.lending),
        ("link", "Gbit/s", list(links), layout.link),
        ("budget", "USD per day", ["budget_per_day"], layout.budget),
        ("flaps", "start or stop per day", list(problem.places), layout.flap),
    ]
    found = [price for kind, unit, names, rows in groups for price in _priced(kind, unit, names, rows, savings, days)]
    return tuple(sorted(found, key=lambda price: -price.usd_per_day))


def _priced(kind: str, unit: str, names: list[str], rows: IntArray, savings: FloatArray, days: float) -> list[ShadowPrice]:
    """Of limits whose rows (..., T) run over the blocks or days; `names` in the order of the axes before."""
    result = []
    for name, of in zip(names, np.ndindex(rows.shape[:-1]), strict=True):
        there = rows[of] >= 0
        usd = savings[rows[of][there]]
        binding = usd > _LEAST_USD
        if binding.any():
            blocks = there.nonzero()[0][binding]
            result.append(ShadowPrice(kind, name, unit, float(usd[binding].sum()) / days, tuple(int(b) for b in blocks), of))
    return result
