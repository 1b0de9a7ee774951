"""The gate: whether a challenger takes the champion's place. Pure: scores in, decision and its reason out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from headroom.errors import BadInputError

__all__ = ["Decision", "PromoteMode", "decide"]

PromoteMode = Literal["auto", "review", "never"]

# A challenger that is better by less than this share has not shown anything: the champion stays, and plans stay comparable.
_MARGIN: Final = 0.002


@dataclass(frozen=True)
class Decision:
    """What the gate says.

    Attributes:
        promote: the challenger becomes champion now.
        await_review: the gate is passed and a person decides.
        reason: one sentence with the figures, for the promotion log and the model version.
    """

    promote: bool
    await_review: bool
    reason: str


def decide(*, mode: PromoteMode, challenger: float, champion: float | None, champion_version: str | None = None) -> Decision:
    """Compare a challenger with the present champion and with the naive floor.

    Args:
        mode: auto promotes what passes; review leaves it to a person; never does not promote.
        challenger: mean pinball loss over the best naive's, on this training's windows; below 1 beats the floor.
        champion: the same of the present champion, on the same windows; None when there is no champion that can be scored.
        champion_version: its version, for the reason.

    Raises:
        BadInputError: when the challenger's score is not a number.
    """
    if not math.isfinite(challenger):
        raise BadInputError(f"gate: the challenger's score is {challenger}; a backtest without a finite loss cannot be judged, train again")
    passed, reason = _passes(challenger, champion, champion_version)
    if mode == "never":
        return Decision(promote=False, await_review=False, reason=f"not promoted, as asked (promote=never); {reason}")
    if mode == "review" and passed:
        return Decision(promote=False, await_review=True, reason=f"waits for a person (promote=review); {reason}")
    return Decision(promote=passed, await_review=False, reason=reason)


def _passes(challenger: float, champion: float | None, version: str | None) -> tuple[bool, str]:
    score = f"{challenger:.3f} of the best naive's pinball loss"
    if challenger >= 1:
        return False, f"{score}: not better than repeating the last day or week"
    if champion is None:
        return True, f"{score}, and there is no champion to compare with" if version is None else (
            f"{score}, and champion {version} could not be scored on these windows"
        )
    against = f"{score}, champion {version}: {champion:.3f} on the same windows"
    if challenger < champion * (1 - _MARGIN):
        return True, f"{against}; better by {1 - challenger / champion:.1%}"
    return False, f"{against}; not better by {_MARGIN:.1%} or more"
