"""What is in the cloud now, as far as the targets of a region are concerned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from infra.cloud import AttachmentState, Cloud, GroupState, MachineFailure, ReservationState, StorageState
from infra.targets import BandwidthTarget, MachineTarget, StorageTarget, Target

__all__ = ["Observed", "observe", "with_failures"]


@dataclass(frozen=True)
class Observed:
    """Resources of one region.

    Attributes:
        reservations: those that Headroom made (they say so in their description), in every zone that may be used; `infra.installations` leaves
            out those of other installations.
        groups, templates: by name; a missing name means that it does not exist.
        disks: by name, zonal disks with their zone, regional ones with zone "".
        failures: group -> machines that it could not get, filled by `with_failures`.
    """

    reservations: tuple[ReservationState, ...] = ()
    groups: dict[str, GroupState] = field(default_factory=dict)
    templates: frozenset[str] = frozenset()
    attachment: AttachmentState | None = None
    disks: dict[str, StorageState] = field(default_factory=dict)
    failures: dict[str, list[MachineFailure]] = field(default_factory=dict)

    def reserved(self, name: str) -> dict[str, ReservationState]:
        """Zone -> the reservation of that name."""
        return {r.zone: r for r in self.reservations if r.name == name}


def observe(cloud: Cloud, targets: Sequence[Target], *, region: str, zones: Sequence[str]) -> Observed:
    """Read the region; makes reading calls only."""
    machines = [target for target in targets if isinstance(target, MachineTarget)]
    ours = [r for zone in zones for r in cloud.reservations(zone) if r.installation is not None] if machines else []
    # Lists cost a call per page however many services there are.
    groups = {group.name: group for group in cloud.groups(region)} if machines else {}
    templates = cloud.templates() if machines else frozenset()
    links = [t.attachment for t in targets if isinstance(t, BandwidthTarget) and t.attachment]
    disks = {t.name: _disk(cloud, region, t) for t in targets if isinstance(t, StorageTarget)}
    return Observed(
        reservations=tuple(sorted(ours, key=lambda r: (r.zone, r.name))),
        groups={name: groups[name] for m in machines for name in (m.group, *m.former) if name in groups},
        templates=templates & {m.template for m in machines},
        attachment=cloud.attachment(region, links[0]) if links else None,
        disks={name: disk for name, disk in disks.items() if disk is not None},
    )


def with_failures(cloud: Cloud, observed: Observed) -> Observed:
    """The same, with the machines that unsettled groups failed to get so far; a group that is settled has none."""
    unsettled = [group for group in observed.groups.values() if not group.stable]
    return replace(observed, failures={group.name: cloud.failures(group.region, group.name) for group in unsettled})


def _disk(cloud: Cloud, region: str, target: StorageTarget) -> StorageState | None:
    if target.kind == "regional-disk":
        return cloud.regional_disk(region, target.name)
    read = cloud.pool if target.kind == "storage-pool" else cloud.disk
    return next((disk for zone in target.zones if (disk := read(zone, target.name)) is not None), None)
