"""The policies of a replay by name, each with the settings that trade cost against what is missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from headroom.errors import BadInputError
from infra.replay.policies.planned import Newsvendor, Optimal, Tiered
from infra.replay.policies.reactive import Aws, Google, Reactive, Static
from infra.replay.walk import ReplayPolicy
from infra.replay.world import Terms

__all__ = ["CLAIRVOYANT", "POLICIES", "Family", "chosen_policies", "needs_forecasts"]

CLAIRVOYANT: Final = "clairvoyant"
_VALUES: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.6, 3.0, 6.0, 15.0)
_TARGETS: Final = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1)


@dataclass(frozen=True)
class Family:
    """A policy and its settings.

    Attributes:
        make: the policy at a setting.
        usual: the setting that is reported.
        settings: those that the frontier of cost against unmet demand is drawn with.
        setting: what the setting is, in words.
        forecasts: whether it follows the forecasts.
    """

    make: Callable[[float, Terms], ReplayPolicy]
    usual: float
    settings: tuple[float, ...]
    setting: str
    forecasts: bool = False


_VALUE: Final = "value of service, times the world's"
_TARGET: Final = "share of a machine's work that is aimed at"

POLICIES: Final[dict[str, Family]] = {
    "optimal": Family(lambda times, _: Optimal(times), 1.0, _VALUES, _VALUE, forecasts=True),
    "newsvendor": Family(lambda times, _: Newsvendor(times), 1.0, _VALUES, _VALUE, forecasts=True),
    "tiered": Family(
        lambda level, terms: Tiered(level, terms.minimum),
        0.9,
        (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
        "quantile of demand that is covered",
        forecasts=True,
    ),
    "reactive": Family(lambda target, _: Reactive(target), 0.8, _TARGETS, _TARGET),
    "static": Family(
        lambda margin, _: Static(margin), 1.0, (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5), "peak of the history, times"
    ),
    "google": Family(lambda target, _: Google(target), 0.8, _TARGETS, _TARGET),
    "aws": Family(lambda target, _: Aws(target), 0.8, _TARGETS, _TARGET),
}


def chosen_policies(names: Sequence[str]) -> list[str]:
    """The policies to replay, once each; none means all. Clairvoyant always runs: the others are measured against it.

    Raises:
        BadInputError: listing the names there are.
    """
    known = [*POLICIES, CLAIRVOYANT]
    for name in names:
        if name not in known:
            raise BadInputError(f"no policy {name!r}; there is: {', '.join(known)}")
    wanted = set(names) or set(known)
    return [name for name in POLICIES if name in wanted]


def needs_forecasts(names: Sequence[str]) -> bool:
    """Whether one of the policies to replay (see `chosen_policies`) follows forecasts.

    Raises:
        BadInputError: listing the names there are.
    """
    return any(POLICIES[name].forecasts for name in chosen_policies(names))
