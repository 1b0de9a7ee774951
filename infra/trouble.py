"""Services in trouble by signal, and the boosts that this gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from headroom.settings import Settings
from headroom.vocabulary import UNITS
from infra.boosts import Boost, boosts_known, grant_boost, hours_left
from infra.ledger import Ledger

__all__ = ["boosts_wanted", "grant_wanted"]

_HOUR: Final = pd.Timedelta("1h")


def boosts_wanted(settings: Settings, measured: pd.DataFrame, *, issue_time: pd.Timestamp) -> list[Boost]:
    """The boosts that services in trouble want from the issue time on, the most critical first.

    A service is in trouble when, in the hour before the issue time and in one of its regions, a signal was above its limit for `trouble.minutes`
    together. The same measurements want the same boosts.

    Args:
        measured: what `headroom.signals.measured_signals` gives of that hour, as known at the issue time.
    """
    troubled = {name: service.trouble for name, service in settings.services.items() if service.trouble is not None}
    limits = {(name, signal): found.above for name in troubled for signal, found in settings.services[name].signals.items()}
    if measured.empty or not limits:
        return []
    limit = pd.Series(pd.MultiIndex.from_frame(measured[["service", "resource"]]).map(limits), index=measured.index, dtype=float)
    hour = (measured["ds"] >= issue_time - _HOUR) & (measured["ds"] < issue_time)
    above = measured.assign(limit=limit)[hour & (measured["y"] > limit)]
    found = above.groupby(["service", "region", "resource"], as_index=False).agg(
        worst=("y", "max"), limit=("limit", "first"), minutes=("minutes", "sum")
    )
    found = found[found["minutes"] >= found["service"].map({name: trouble.minutes for name, trouble in troubled.items()})]
    why = {str(name): "; ".join(words) for name, words in _words(found, issue_time).groupby(found["service"])}
    order = sorted(why, key=lambda name: (settings.services[name].rank, name))
    return [Boost(name, issue_time, issue_time + troubled[name].boost_hours * _HOUR, f"by signal: {why[name]}") for name in order]


def grant_wanted(settings: Settings, ledger: Ledger, wanted: Sequence[Boost]) -> tuple[list[Boost], list[str]]:
    """The boosts that were granted, now or when this was asked before; and, in words, those that the budget has no hours for.

    A service whose boost is still running, by signal or by hand, gets no second one.
    """
    granted, refused = [], []
    for boost in wanted:
        known = boosts_known(ledger)
        if boost not in known and any(other.service == boost.service and other.start <= boost.start < other.end for other in known):
            continue
        left = hours_left(settings, known, boost.start)
        if boost in known or (boost.end - boost.start) / _HOUR <= left:
            granted.append(grant_boost(settings, ledger, boost))
        else:
            budget = settings.policy.boost_hours_per_week
            refused.append(f"{boost.service} gets no boost: {left:g} hours are left of policy.boost_hours_per_week {budget:g}; {boost.why}")
    return granted, refused


def _words(found: pd.DataFrame, issue_time: pd.Timestamp) -> pd.Series[str]:
    """Signal, worst value, limit, how long, where and when."""
    unit = found["resource"].map({name: f" {unit}" if unit != "1" else "" for name, unit in UNITS.items()})
    number = found[["worst", "limit"]].map("{:.3g}".format)
    values = found["resource"] + " up to " + number["worst"] + unit + ", above " + number["limit"] + unit
    hour = f" from {issue_time - _HOUR:%Y-%m-%d %H:%M} to {issue_time:%H:%M}"
    return values + " for " + found["minutes"].map("{:.0f}".format) + " min in " + found["region"] + hour
