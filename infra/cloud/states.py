"""What the reconciler needs to know of a cloud resource, read from the client library's messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.cloud.marks import installation_of, maker, plain

__all__ = [
    "AttachmentState",
    "GroupState",
    "MachineFailure",
    "MachineShape",
    "QuotaState",
    "ReservationState",
    "StorageState",
    "last_part",
]


@dataclass(frozen=True)
class ReservationState:
    """A zonal reservation; `lifetime_seconds` counts from its creation, None when it never lapses.

    `description` is without the installation that made it; `installation` is "" for one without a name, None for one that is not Headroom's.
    """

    zone: str
    name: str
    machine_type: str
    count: int
    in_use: int
    description: str
    lifetime_seconds: int | None
    created: str
    status: str
    installation: str | None = None

    @classmethod
    def read(cls, zone: str, message: Any) -> ReservationState:
        specific = message.specific_reservation
        seconds = int(message.delete_after_duration.seconds)
        return cls(
            zone=zone,
            name=message.name,
            machine_type=specific.instance_properties.machine_type,
            count=int(specific.count),
            in_use=int(specific.in_use_count),
            description=plain(message.description),
            lifetime_seconds=seconds or None,
            created=message.creation_timestamp,
            status=message.status,
            installation=maker(message.description),
        )


@dataclass(frozen=True)
class GroupState:
    """A regional instance group: its targets, not the machines that exist at this moment.

    `draining` while machines are on their way out. A group that only waits for machines that it cannot get is not draining.
    `installation` as of a reservation.
    """

    region: str
    name: str
    template: str
    running: int
    suspended: int
    stopped: int
    standby_mode: str
    stable: bool
    draining: bool = False
    installation: str | None = None

    @classmethod
    def read(cls, region: str, message: Any) -> GroupState:
        return cls(
            region=region,
            name=message.name,
            template=last_part(message.instance_template or (message.versions[0].instance_template if message.versions else "")),
            running=int(message.target_size),
            suspended=int(message.target_suspended_size),
            stopped=int(message.target_stopped_size),
            standby_mode=message.standby_policy.mode,
            stable=bool(message.status.is_stable),
            draining=not message.status.is_stable and _machines_leave(message.current_actions),
            installation=maker(message.description),
        )


@dataclass(frozen=True)
class MachineFailure:
    """A machine that its group could not get; `wanted` is RUNNING, SUSPENDED or STOPPED."""

    wanted: str
    code: str
    message: str

    @classmethod
    def read(cls, message: Any) -> MachineFailure | None:
        """None for a machine whose last attempt did not fail."""
        errors = list(message.last_attempt.errors.errors)
        return cls(message.target_status, errors[0].code, errors[0].message) if errors else None


@dataclass(frozen=True)
class AttachmentState:
    """An interconnect attachment; `bandwidth` is a step such as BPS_10G, "" when it has none."""

    region: str
    name: str
    type: str
    bandwidth: str

    @classmethod
    def read(cls, region: str, message: Any) -> AttachmentState:
        return cls(region=region, name=message.name, type=message.type_, bandwidth=message.bandwidth)


@dataclass(frozen=True)
class StorageState:
    """A zonal disk, a regional one (`zone` is then ""), or a storage pool; `installation` as of a reservation."""

    zone: str
    name: str
    gib: int
    installation: str | None = None

    @classmethod
    def of_disk(cls, zone: str, message: Any) -> StorageState:
        return cls(zone=zone, name=message.name, gib=int(message.size_gb), installation=installation_of(message.labels))

    @classmethod
    def of_pool(cls, zone: str, message: Any) -> StorageState:
        gib = int(message.pool_provisioned_capacity_gb)
        return cls(zone=zone, name=message.name, gib=gib, installation=installation_of(message.labels))


@dataclass(frozen=True)
class QuotaState:
    """A regional quota."""

    limit: float
    usage: float

    @property
    def remaining(self) -> float:
        return max(self.limit - self.usage, 0.0)


@dataclass(frozen=True)
class MachineShape:
    """What one machine of a type takes."""

    vcpus: int
    memory_gib: float


def _machines_leave(actions: Any) -> bool:
    """Whether machines go, or an unsettled group does not say what it is about (it has not begun yet)."""
    going = actions.abandoning + actions.deleting + actions.stopping + actions.suspending
    coming = actions.creating + actions.creating_without_retries + actions.recreating + actions.resuming + actions.starting
    return bool(going or not coming)


def last_part(url: str) -> str:
    """The name at the end of a resource's URL."""
    return url.rsplit("/", 1)[-1]
