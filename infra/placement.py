"""Which zone holds how many machines, and how many to ask for where the cloud refused before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.ledger_rows import Fact
from infra.refusals import is_quota

__all__ = ["Placement", "next_try", "place"]


@dataclass(frozen=True)
class Placement:
    """Machines per zone to ask for now; `searching` when the outcome decides what is asked for next."""

    counts: dict[str, int]
    searching: bool


def place(
    wanted: int,
    zones: Sequence[str],
    held: Mapping[str, int],
    refused: Mapping[str, Fact],
    in_use: Mapping[str, int] | None = None,
    *,
    order: Sequence[str] = (),
) -> Placement:
    """Spread `wanted` machines over zones, moving none that are held.

    Growth goes to the first zone that has not refused it; shrinking empties the last zone first, and nowhere goes below what
    is in use. In a zone that refused, the largest number that fits is searched for, one try per call, before the next is asked.

    Args:
        zones: in order of preference.
        held: zone -> machines reserved now.
        refused: zone -> what it refused at this issue time.
        in_use: zone -> machines that cannot be released.
        order: zones in the order in which growth asks them; default that of preference.
    """
    counts = {zone: held.get(zone, 0) for zone in zones}
    missing = wanted - sum(counts.values())
    if missing <= 0:
        return Placement(_shrunk(-missing, counts, in_use or {}), searching=False)
    for zone in order or zones:
        fact = refused.get(zone)
        if fact is None or counts[zone] + missing < fact.asked:
            return Placement({**counts, zone: counts[zone] + missing}, searching=False)
        attempt = next_try(counts[zone], fact)
        if attempt > counts[zone]:
            return Placement({**counts, zone: attempt}, searching=True)
        if is_quota(fact.code):  # a quota is the region's: no zone has more
            break
    return Placement(counts, searching=False)


def next_try(held: int, fact: Fact) -> int:
    """The total to ask for after a refusal; `held` when nothing between it and the refused total is left to try.

    The remaining quota is known and gives the total at once. Stock is not, so the gap is halved.
    """
    asked = int(fact.asked)
    if fact.hint is not None and fact.hint < asked:
        return max(int(fact.hint), held)
    return max((held + asked) // 2, held)


def _shrunk(excess: int, counts: Mapping[str, int], in_use: Mapping[str, int]) -> dict[str, int]:
    kept = dict(counts)
    for zone in reversed(list(counts)):
        released = min(excess, max(counts[zone] - in_use.get(zone, 0), 0))
        kept[zone] -= released
        excess -= released
    return kept
