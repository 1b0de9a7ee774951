"""What a run of `allocate_capacity` was asked to do, and the plan that it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from headroom.runtime import Runtime

__all__ = ["AllocationRequest", "plan_for"]


@dataclass(frozen=True)
class AllocationRequest:
    """One run's order.

    Attributes:
        dry_run: plan and show the difference only.
        why_dry: the reason, for the log and the asset event; empty when the run acts.
    """

    issue_time: pd.Timestamp
    regions: list[str] | None
    policy: str | None
    dry_run: bool
    why_dry: str

    @classmethod
    def of_run(
        cls, context: Mapping[str, Any], issue_time: pd.Timestamp, *, by_hand: bool, newest: pd.Timestamp | None
    ) -> AllocationRequest:
        """Read params and asset events; a run acts only for a live forecast that is not older than what was acted upon.

        Args:
            context: Airflow's task context.
            issue_time: of the run.
            by_hand: whether a person started it; only then does the param `dry_run` count.
            newest: issue time of the newest plan acted upon.
        """
        params = context["params"]
        why = ""
        if by_hand and params["dry_run"]:
            why = "asked for by the param dry_run"
        elif not by_hand and not _live(context.get("triggering_asset_events") or {}, issue_time):
            why = "the forecast was backfilled"
        elif newest is not None and newest > issue_time:
            why = f"a newer plan, of {newest.isoformat()}, was acted upon"
        return cls(issue_time, params["regions"], params["policy"], bool(why), why)


def plan_for(opened: Runtime, request: AllocationRequest) -> dict[str, Any]:
    """Make the plan; returns what later tasks of the run need, JSON-ready."""
    from headroom.allocation import make_plan

    made = make_plan(
        opened, issue_time=request.issue_time, regions=request.regions, policy=request.policy, grant_boosts=not request.dry_run
    )
    return {
        "issue_time": made.issue_time.isoformat(),
        "regions": made.regions,
        "dry_run": request.dry_run,
        "why_dry": request.why_dry,
        "ask": made.approval_needed and not request.dry_run,
        "approval_text": made.approval_text,
        "facts": made.facts(),
    }


def _live(events: Mapping[Any, Any], issue_time: pd.Timestamp) -> bool:
    """Whether a live scoring run announced this issue time; an event that does not say counts as live."""
    from headroom.issue_time import EVENT_KEY, as_utc

    extras = [event.extra or {} for group in events.values() for event in group]
    same = [extra for extra in extras if EVENT_KEY in extra and as_utc(extra[EVENT_KEY]).floor("h") == issue_time]
    return any(extra.get("live", True) for extra in same) or not same
