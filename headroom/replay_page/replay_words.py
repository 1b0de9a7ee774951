"""What a replay says, in sentences."""

from __future__ import annotations

from infra.replay.policies import CLAIRVOYANT
from infra.replay.run import Replay

__all__ = ["replay_words"]


def replay_words(result: Replay) -> list[str]:
    """Sentences: what the best policy costs and misses, how it compares at equal unmet demand, and what of it no plan could have saved."""
    return [sentence for sentence in (_least_regret(result), _at_equal_unmet(result), _bound(result)) if sentence]


def _least_regret(result: Replay) -> str:
    others = {name: told for name, told in result.measured.items() if name != CLAIRVOYANT}
    if not others:
        return "Only the clairvoyant plan was replayed; name a policy to compare it with."
    best = min(others, key=lambda name: others[name].regret_usd)
    told = others[best]
    return (
        f"Money and missed demand together, {best} is closest to the plan that knew the future: it cost {told.cost_usd:,.0f} USD, "
        f"{told.cost_over_clairvoyant:.3f} times the clairvoyant plan, and missed {100 * told.unmet_volume:.3g} % of the demand."
    )


def _at_equal_unmet(result: Replay) -> str:
    equal = result.equal_unmet
    if not equal or equal["gap_closed"] is None:
        return ""
    closed = equal["gap_closed"]
    what = (
        f"closes {100 * closed:.0f} % of the cost between"
        if closed >= 0
        else f"costs {-100 * closed:.0f} % of the gap more than the better end of"
    )
    return (
        f"Where all miss {100 * equal['unmet_volume']:.3g} % of the demand, optimal {what} the best other policy ({equal['best_other']}) "
        "and the clairvoyant plan."
    )


def _bound(result: Replay) -> str:
    if "optimal" not in result.measured:
        return ""
    told = result.measured["optimal"]
    return (
        f"What optimal cost and missed above the clairvoyant plan, {told.regret_usd:,.0f} USD, is the price of not knowing: "
        f"the error of the forecasts at the lead time of {result.terms.lead} {'step' if result.terms.lead == 1 else 'steps'}."
    )
