"""What a candidate says about itself, once and in its own file: all that selection, packaging and the engine's budget need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from models.forecaster import Forecaster
from models.tuning.arms import Tuning

__all__ = ["Declaration"]


@dataclass(frozen=True)
class Declaration:
    """One candidate, as `models.candidates` lists it.

    Attributes:
        name: as people write it; the candidate's own `name`.
        make: (seed, unique_id -> tuning) to a new, unfitted candidate.
        pooled: one model across all series, which needs all of them in one shard; else one per series, which can be spread over shards.
        seconds: CPU seconds per series and window, measured on 1,000 series of 60 days of hours. None: `headroom backtest` and
            `headroom forecast` take it only when asked.
        seconds_per_fit: CPU seconds that a fit takes however few series there are.
        fewest_series: that it must learn from to be worth its time; it is then tried on all of them, not on a sample. 0: no such need.
        packages: that it imports beside NumPy and pandas, whose modules have the same names; a registered model requires them.
        default: whether a training takes it unless told otherwise.
    """

    name: str
    make: Callable[[int, Mapping[str, Tuning] | None], Forecaster]
    pooled: bool = False
    seconds: float | None = None
    seconds_per_fit: float = 0.0
    fewest_series: int = 0
    packages: tuple[str, ...] = ()
    default: bool = False

    def installed(self) -> bool:
        """Whether its packages are there."""
        return all(find_spec(package) is not None for package in self.packages)
