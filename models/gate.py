"""The gate: whether a challenger takes the champion's place. Pure: scores and the guards' verdicts in, decision and its reason out.

Against a champion every guard must pass. Where there is nothing to compare with, only the naive floor decides: whoever beats it serves
better than nobody. The guards that failed are named either way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headroom.errors import BadInputError
from models.gate_guards import FLOOR, Verdict

__all__ = ["Decision", "PromoteMode", "decide"]

PromoteMode = Literal["auto", "review", "never"]


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


def decide(
    *, mode: PromoteMode, challenger: float, verdicts: Sequence[Verdict], champion: float | None, champion_version: str | None = None
) -> Decision:
    """Compare a challenger with the present champion and with the naive floor.

    Args:
        mode: auto promotes what passes; review leaves it to a person; never does not promote.
        challenger: mean pinball loss over the best naive's, on this training's windows; below 1 beats the floor.
        verdicts: of `models.gate_guards.examine`.
        champion: the same of the present champion, on the same windows; None when there is no champion that can be scored.
        champion_version: its version, for the reason.

    Raises:
        BadInputError: when the challenger's score is not a number.
    """
    if not math.isfinite(challenger):
        raise BadInputError(f"gate: the challenger's score is {challenger}; a backtest without a finite loss cannot be judged, train again")
    deciding = [verdict for verdict in verdicts if champion is not None or verdict.name == FLOOR]
    passed = all(verdict.passed for verdict in deciding)
    reason = _reason(challenger, champion, champion_version, verdicts)
    if mode == "never":
        return Decision(promote=False, await_review=False, reason=f"not promoted, as asked (promote=never); {reason}")
    if mode == "review" and passed:
        return Decision(promote=False, await_review=True, reason=f"waits for a person (promote=review); {reason}")
    return Decision(promote=passed, await_review=False, reason=reason)


def _reason(challenger: float, champion: float | None, version: str | None, verdicts: Sequence[Verdict]) -> str:
    told = [f"{challenger:.3f} of the best naive's pinball loss{_against(champion, version)}"]
    told += [verdict.figures for verdict in verdicts if verdict.name == "better" and verdict.passed and champion is not None]
    told += [f"failed {_failure(verdict)}" for verdict in verdicts if not verdict.passed]
    return "; ".join(told)


def _against(champion: float | None, version: str | None) -> str:
    if champion is not None:
        return f", champion {version}: {champion:.3f} on the same windows"
    return (
        ", and there is no champion to compare with"
        if version is None
        else f", and champion {version} could not be scored on these windows"
    )


def _failure(verdict: Verdict) -> str:
    if verdict.name == FLOOR:
        return f"gate.{FLOOR}: not better than repeating the last day or week"
    return f"gate.{verdict.name}: {verdict.figures}"
