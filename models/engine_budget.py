"""What the engine's candidates cost, and which of them its time affords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from models.candidates import DECLARED, NAIVES
from models.candidates.declaration import Declaration
from models.engine_clock import EngineClock
from models.engine_rounds import engine_rounds
from models.rhythm import HOURLY

__all__ = ["affordable", "seconds_of"]

# Above this many seconds per series and window a candidate must first win a trial on a sample.
_DEAR: Final = 0.1
_BUDGET_SECONDS: Final = 420.0
# Who installed a network waits for it, so that all is done within ten minutes of one core, the trial included.
_WITH_NETWORK_SECONDS: Final = 540.0


def affordable(clock: EngineClock, backs: Sequence[int]) -> tuple[list[str], list[str]]:
    """(cheap, dear): the cheapest candidates until the time budget is spent, and which of them must first win a trial.

    They cost more where a day has more steps than 24. What learns from all series is fitted in every round, on the
    series that still were within the time it looks at.
    """
    rhythm, windows = clock.rhythm, len(backs)
    moments = [at.moment for at in engine_rounds(clock.ends, rhythm, backs)]
    learning = sum(int((clock.ends > moment - rhythm.training * rhythm.step).sum()) for moment in moments)
    more_steps = max(1.0, rhythm.context / HOURLY.context)
    spent, chosen = 0.0, set()
    for one in sorted(DECLARED.values(), key=lambda one: (one.fewest_series > 0, one.seconds or 0.0)):
        if one.seconds is None or clock.count < one.fewest_series or not one.installed():
            continue
        served = max(learning, clock.count * windows) if one.pooled else clock.count * windows
        price = one.seconds * served * more_steps + one.seconds_per_fit * len(moments)
        budget = _WITH_NETWORK_SECONDS if one.fewest_series else _BUDGET_SECONDS
        if one.name in NAIVES or spent + price <= budget:
            chosen.add(one.name)
            spent += price
    names = [name for name in DECLARED if name in chosen]
    dear = [name for name in names if _is_dear(DECLARED[name])]
    return [name for name in names if name not in dear], dear


def seconds_of(names: Sequence[str], windows: int) -> float:
    """CPU seconds that candidates take for so many windows of hourly series, what does not grow with them left out."""
    return sum(DECLARED[name].seconds or 0.0 for name in names) * windows


def _is_dear(one: Declaration) -> bool:
    return one.fewest_series > 0 or (one.seconds or 0.0) > _DEAR
