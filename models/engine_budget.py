"""What the engine's candidates cost, and which of them its time affords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from models.candidates import CANDIDATES, GLOBAL_CANDIDATES, NAIVES
from models.candidates.recurrent import installed
from models.engine_clock import EngineClock
from models.engine_rounds import engine_rounds
from models.rhythm import HOURLY

__all__ = ["NETWORK", "affordable", "seconds_of"]

# CPU seconds per series and window, measured on 1,000 series of 60 days of hours, cheapest first; global candidates per series too.
_COST: Final = {
    **dict.fromkeys(NAIVES, 0.001),
    "seasonal-ridge": 0.004,
    "flair": 0.006,
    "exponential-smoothing": 0.008,
    "lightgbm": 0.02,
    "mstl": 0.12,
    "theta": 0.2,
    "auto-ets": 0.3,
    "auto-ces": 0.6,
}
# CPU seconds that a fit takes however few series there are.
_PER_FIT: Final = {"lightgbm": 0.4}
# The network's training takes about as long for few series as for many; it learns little from few.
NETWORK: Final = "gru"
_NETWORK_SECONDS: Final = 20.0
_NETWORK_SERIES: Final = 20
# Above this a candidate must first win a trial on a sample.
_DEAR: Final = 0.1
_BUDGET_SECONDS: Final = 420.0


def affordable(clock: EngineClock, backs: Sequence[int]) -> tuple[list[str], list[str]]:
    """(cheap, dear): the cheapest candidates until the time budget is spent, and which of them must first win a trial.

    They cost more where a day has more steps than 24. What learns from all series is fitted in every round, on the
    series that still were within the time it looks at.
    """
    rhythm, windows = clock.rhythm, len(backs)
    moments = [at.moment for at in engine_rounds(clock.ends, rhythm, backs)]
    learning = sum(int((clock.ends > moment - rhythm.training * rhythm.step).sum()) for moment in moments)
    spent, chosen = 0.0, set()
    for name, cost in _COST.items():
        served = max(learning, clock.count * windows) if name in GLOBAL_CANDIDATES else clock.count * windows
        price = cost * served * max(1.0, rhythm.context / HOURLY.context) + _PER_FIT.get(name, 0.0) * len(moments)
        if name in NAIVES or spent + price <= _BUDGET_SECONDS:
            chosen.add(name)
            spent += price
    if installed() and clock.count >= _NETWORK_SERIES and spent + _NETWORK_SECONDS * len(moments) <= _BUDGET_SECONDS:
        chosen.add(NETWORK)
    names: list[str] = [name for name in CANDIDATES if name in chosen]
    dear = [name for name in names if name == NETWORK or _COST[name] > _DEAR]
    return [name for name in names if name not in dear], dear


def seconds_of(names: Sequence[str], windows: int) -> float:
    """CPU seconds that candidates take for so many windows of hourly series, what does not grow with them left out."""
    return sum(_COST.get(name, 0.0) for name in names) * windows
