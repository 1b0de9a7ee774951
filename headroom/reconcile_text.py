"""What a reconciliation did to a region, or would do, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headroom.summary_text import amount

if TYPE_CHECKING:
    from infra.reconciler import ReconcileReport

__all__ = ["report_lines", "unmet_words"]


def report_lines(done: ReconcileReport) -> Iterator[str]:
    """One line for what it comes to, then one per call, per capacity that is missing, and per thing that the cloud refused or lacks."""
    count = len(done.actions)
    if not count:
        yield f"{done.region}: nothing to change{'' if done.unmet or done.facts else ', all that the plan wants is held'}"
    else:
        made = f"{count} change{'s' if count > 1 else ''} {'would be made' if done.dry_run else 'made'}"
        yield f"{done.region}: {made}, {done.usd_per_hour_added:+.2f} USD per hour"
    for action in done.actions:
        yield f"  {action['state']}: {_call_words(action)}"
    for row in done.unmet:
        yield f"  {unmet_words(row)}"
    for fact in done.facts:
        yield f"  {fact['code']}: {fact['message']}"


def _call_words(action: dict[str, Any]) -> str:
    usd = f", {action['usd_per_hour']:+.2f} USD per hour" if round(action["usd_per_hour"], 2) else ""
    why = f": {action['message']}" if action.get("message") else ""
    return f"{action['description']}{usd}{why}"


def unmet_words(row: dict[str, Any]) -> str:
    """What is wanted and not held, and why."""
    held = f"{amount(row['held'])} of {amount(row['wanted'])} {row['machine_type'] or row['unit']} {row['pool']}"
    return f"unmet: {row['service'] or 'the region'} has {held}: {row['reason']}"
