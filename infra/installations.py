"""Several installations in one project: each keeps to what it made, and a name that two of them want is refused before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from headroom.errors import BadInputError
from infra.ledger import Ledger
from infra.ledger_history import kept_by_us
from infra.observed import Observed
from infra.targets import MachineTarget, StorageTarget, Target

__all__ = ["without_others"]

Found = tuple[str, str, str, str, str | None]


def without_others(observed: Observed, targets: Sequence[Target], ledger: Ledger, *, region: str, installation: str) -> Observed:
    """What was observed without the reservations of other installations.

    Ours is what bears our name, and what bears no name as long as we have none. What bears no name and was made before we had one is ours when
    the ledger knows it. What Headroom did not make at all, an owner's own group say, is as before.

    Raises:
        BadInputError: when what a target needs has its name already and is not ours; nothing can be held for that service then.
    """
    known = kept_by_us(ledger, region) if installation else set()
    for kind, zone, name, service, maker in _needed(observed, targets):
        if not _ours(maker, installation, (kind, zone, name) in known):
            whose = f"installation {maker!r}" if maker else "an installation without a name, or to this one before its ledger was lost"
            raise BadInputError(
                f"{zone or region}: {kind} {name} of service {service} belongs to {whose}, and this one is {installation or 'without a name'} "
                "(cloud.installation); give the service another name in one of them, or let only one plan it here"
            )
    mine = tuple(r for r in observed.reservations if r.installation == installation or not r.installation)
    return replace(observed, reservations=mine)


def _needed(observed: Observed, targets: Sequence[Target]) -> Iterator[Found]:
    """What is there of the names that the targets use: kind, zone, name, service, installation."""
    for target in targets:
        if isinstance(target, MachineTarget):
            if (group := observed.groups.get(target.group)) is not None:
                yield "group", "", group.name, target.service, group.installation
            for zone, held in observed.reserved(target.reservation).items():
                yield "reservation", zone, held.name, target.service, held.installation
        elif isinstance(target, StorageTarget) and (disk := observed.disks.get(target.name)) is not None:
            yield target.kind, disk.zone, disk.name, target.service, disk.installation


def _ours(maker: str | None, installation: str, known: bool) -> bool:
    return maker is None or maker == installation or (maker == "" and known)
