"""Orphans: resources with Headroom's mark that the ledger knows nothing of, and their collection.

They come from a ledger that was lost or restored from an old copy, or from a copy made by hand. Nobody extends, shrinks or deletes them.
What bears the name of another installation is its own and never an orphan here. What bears no name may be another's too, so that nothing of it is
collected before a person says that no other installation without a name works in the project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.actions import Action
from infra.cloud import Cloud, Owned
from infra.executor import Executor
from infra.ledger import Ledger
from infra.ledger_history import made_by_us
from infra.ledger_rows import Entry
from infra.names import group_name, machines_name
from infra.prices import list_prices

__all__ = ["Orphan", "collect", "find_orphans"]

# A group before the template that it uses.
_ORDER: Final = {"group": 0, "reservation": 1, "template": 2}


@dataclass(frozen=True)
class Orphan:
    """One of them.

    Attributes:
        kept: why it is not collected; "" when it may be.
        usd_per_hour: list price of an unused reservation; 0 where the price is not known or others pay (a group's machines).
    """

    owned: Owned
    kept: str
    usd_per_hour: float

    def __str__(self) -> str:
        where = self.owned.zone or self.owned.region or "global"
        what = f"{self.owned.amount} x {self.owned.machine_type}" if self.owned.kind == "reservation" else f"{self.owned.amount}"
        fate = f"kept: {self.kept}" if self.kept else "may be collected"
        return f"{where}: {self.owned.kind} {self.owned.name} ({what}), {self.usd_per_hour:.2f} USD/h; {fate}"


def find_orphans(settings: Settings, ledger: Ledger, cloud: Cloud, *, unnamed: bool = False) -> list[Orphan]:
    """Orphans in the regions and zones of the settings, and orphaned templates; makes reading calls only.

    Args:
        unnamed: what bears no installation's name is ours too, and may be collected.
    """
    # The ledger is read last: what was made while the cloud was read is known by then.
    owned = [found for name, region in settings.regions.items() for found in cloud.owned(name, region.zones)]
    owned += cloud.owned_templates()
    known, wanted = made_by_us(ledger), _wanted_names(settings)
    ours = {cloud.installation} | ({""} if unnamed else set())
    orphans = [found for found in owned if found.installation in ours and (found.kind, found.zone, found.name) not in known]
    return [Orphan(found, _kept(found, wanted, unnamed=unnamed), _usd_per_hour(found)) for found in orphans]


def collect(settings: Settings, ledger: Ledger, cloud: Cloud, orphans: Sequence[Orphan], *, now: pd.Timestamp) -> list[Entry]:
    """Delete the orphans that may be collected, each with its ledger row first; the rows, done or failed.

    Raises:
        CloudRefusedError: when the project may not call the API at all; single refusals become failed rows.
        UnavailableError: when the cloud does not answer; collect again.
    """
    entries = []
    free = sorted((orphan.owned for orphan in orphans if not orphan.kept), key=lambda owned: _ORDER[owned.kind])
    for owned in free:
        region = owned.region or min(settings.regions)
        # The issue time must not be after the newest plan that was acted upon: that plan could not be applied again.
        issue_time = ledger.newest_issue_time() or now.floor("h")
        executor = Executor(ledger, cloud, issue_time, region, checkpoint=lambda _: None, settle_seconds=0.0)
        entry = executor.act(_deletion(owned, region))
        entries += [entry] if entry is not None else []
    return entries


def _deletion(owned: Owned, region: str) -> Action:
    return Action(
        verb="delete",
        kind=owned.kind,
        region=region,
        zone=owned.zone,
        service=owned.service,
        name=owned.name,
        description=f"{owned.zone or owned.region or 'global'}: collect the orphan {owned.kind} {owned.name}",
        wanted={"count": 0},
        observed={"count": owned.amount},
        usd_per_hour=-_usd_per_hour(owned),
        machine_type=owned.machine_type,
    )


def _kept(owned: Owned, wanted: set[str], *, unnamed: bool) -> str:
    if owned.kind not in _ORDER:
        return "it may hold data; delete it by hand if nobody needs it"
    if owned.name in wanted:
        return "a service of capacity.yaml uses this name; the next reconciliation takes it over, or says whose it is"
    if owned.in_use:
        return f"{owned.in_use} machines use it; move or stop them first"
    if not owned.installation and not unnamed:
        return "it bears no installation's name and may be another's; add --unnamed when no other without a name works in the project"
    return ""


def _wanted_names(settings: Settings) -> set[str]:
    types = [(name, machine_type) for name, service in settings.services.items() for machine_type in service.capacity.machine_types]
    groups = {group_name(name) for name in settings.services} | {group_name(*pair) for pair in types}
    return groups | {machines_name(*pair) for pair in types}


def _usd_per_hour(owned: Owned) -> float:
    if owned.kind != "reservation":
        return 0.0
    try:
        return (owned.amount - owned.in_use) * list_prices().hot_usd_per_hour(owned.machine_type, owned.region)
    except BadInputError:  # a machine type that the price list does not have: said by the price of 0
        return 0.0
