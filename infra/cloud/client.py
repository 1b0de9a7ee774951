"""The calls that Headroom makes to Compute Engine, and no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from infra.actions import Action
from infra.cloud import writes
from infra.cloud.connection import Connection
from infra.cloud.marks import Owner
from infra.cloud.operations import Operation, find_operation, get_operation, read_operation, wait_for
from infra.cloud.owned import Owned, owned_in_region, owned_templates
from infra.cloud.states import (
    AttachmentState,
    GroupState,
    MachineFailure,
    MachineShape,
    QuotaState,
    ReservationState,
    StorageState,
    last_part,
)

__all__ = ["Cloud"]

_Call = Callable[[Owner, Action], tuple[str, str, dict[str, Any]]]

# (kind, verb) -> what makes the request of a writing call.
_WRITES: Final[dict[tuple[str, str], _Call]] = {
    ("template", "create"): writes.create_template,
    ("template", "delete"): writes.delete_template,
    ("group", "create"): writes.create_group,
    ("group", "delete"): writes.delete_group,
    ("group", "scale"): writes.scale_group,
    ("group", "standby"): writes.set_standby,
    ("group", "move"): writes.move_machines,
    ("group", "set-template"): writes.set_template,
    ("reservation", "create"): writes.create_reservation,
    ("reservation", "resize"): writes.resize_reservation,
    ("reservation", "extend"): writes.extend_reservation,
    ("reservation", "delete"): writes.delete_reservation,
    ("attachment", "set-bandwidth"): writes.set_bandwidth,
    ("disk", "create"): writes.create_disk,
    ("disk", "resize"): writes.resize_disk,
    ("regional-disk", "create"): writes.create_regional_disk,
    ("regional-disk", "resize"): writes.resize_regional_disk,
    ("storage-pool", "create"): writes.create_pool,
    ("storage-pool", "resize"): writes.resize_pool,
}


class Cloud:
    """One Google Cloud project, at Google or at any other address that speaks Compute Engine v1.

    Args:
        project: project id.
        endpoint: None for Google's own; the only thing that differs for the local cloud.
        credentials: None takes the environment's; a plain http address on this machine needs none.
        timeout: seconds to wait for one operation to finish.
        pause: seconds that the first retry of a call waits at most; doubles from there.
        installation: name on the mark of what it makes; "" for none.
    """

    def __init__(
        self,
        project: str,
        endpoint: str | None = None,
        credentials: Any = None,
        timeout: float = 600.0,
        pause: float = 0.5,
        installation: str = "",
    ) -> None:
        self.project = project
        self.installation = installation
        self.timeout = timeout
        self._connection = Connection(project=project, endpoint=endpoint, credentials=credentials, pause=pause)

    def reservations(self, zone: str) -> list[ReservationState]:
        """Every reservation of a zone, ours or not."""
        return self._connection.list("ReservationsClient", {"zone": zone}, lambda m: ReservationState.read(zone, m))

    def reservation(self, zone: str, name: str) -> ReservationState | None:
        return self._connection.get("ReservationsClient", {"zone": zone, "reservation": name}, lambda m: ReservationState.read(zone, m))

    def templates(self) -> frozenset[str]:
        """Names of the project's templates, ours or not."""
        return frozenset(self._connection.list("InstanceTemplatesClient", {}, lambda m: str(m.name)))

    def group(self, region: str, name: str) -> GroupState | None:
        request = {"region": region, "instance_group_manager": name}
        return self._connection.get("RegionInstanceGroupManagersClient", request, lambda m: GroupState.read(region, m))

    def groups(self, region: str) -> list[GroupState]:
        """Every regional group, ours or not."""
        return self._connection.list("RegionInstanceGroupManagersClient", {"region": region}, lambda m: GroupState.read(region, m))

    def failures(self, region: str, name: str) -> list[MachineFailure]:
        """Machines that a group wants and could not get so far, one per machine."""
        request = {"region": region, "instance_group_manager": name}
        read = self._connection.list("RegionInstanceGroupManagersClient", request, MachineFailure.read, method="list_managed_instances")
        return [failure for failure in read if failure is not None]

    def attachment(self, region: str, name: str) -> AttachmentState | None:
        request = {"region": region, "interconnect_attachment": name}
        return self._connection.get("InterconnectAttachmentsClient", request, lambda m: AttachmentState.read(region, m))

    def disk(self, zone: str, name: str) -> StorageState | None:
        return self._connection.get("DisksClient", {"zone": zone, "disk": name}, lambda m: StorageState.of_disk(zone, m))

    def regional_disk(self, region: str, name: str) -> StorageState | None:
        return self._connection.get("RegionDisksClient", {"region": region, "disk": name}, lambda m: StorageState.of_disk("", m))

    def pool(self, zone: str, name: str) -> StorageState | None:
        return self._connection.get("StoragePoolsClient", {"zone": zone, "storage_pool": name}, lambda m: StorageState.of_pool(zone, m))

    def owned(self, region: str, zones: Sequence[str]) -> list[Owned]:
        """What carries our mark in a region and its zones, templates left out."""
        return owned_in_region(self._connection, region, zones)

    def owned_templates(self) -> list[Owned]:
        """Templates that carry our mark."""
        return owned_templates(self._connection)

    def quotas(self, region: str) -> dict[str, QuotaState]:
        """Quota metric -> limit and usage; empty when the cloud does not know the region."""
        read = self._connection.get(
            "RegionsClient", {"region": region}, lambda m: {q.metric: QuotaState(limit=q.limit, usage=q.usage) for q in m.quotas}
        )
        return read or {}

    def zones(self, region: str) -> list[str]:
        """Names of a region's zones."""
        return self._connection.get("RegionsClient", {"region": region}, lambda m: [last_part(url) for url in m.zones]) or []

    def machine(self, zone: str, machine_type: str) -> MachineShape | None:
        request = {"zone": zone, "machine_type": machine_type}
        return self._connection.get(
            "MachineTypesClient", request, lambda m: MachineShape(vcpus=int(m.guest_cpus), memory_gib=m.memory_mb / 1024)
        )

    def send(self, action: Action, request_id: str) -> Operation:
        """Make the writing call of an action; the same request id never changes the cloud twice.

        Raises:
            CloudRefusedError: refused at once; an operation may still fail later.
            UnavailableError: no answer; whether it arrived is unknown, `find` tells.
        """
        client, method, request = _WRITES[action.kind, action.verb](Owner(self.project, self.installation), action)
        message = self._connection.call(client, f"{method}_unary", {**request, "request_id": request_id})
        return read_operation(message)

    def wait(self, operation: Operation) -> Operation:
        """The finished operation, failed or not; see `Operation.check`.

        Raises:
            UnavailableError: not finished within this cloud's `timeout`.
        """
        return wait_for(self._connection, operation, deadline=self.timeout)

    def find(self, action: Action, *, request_id: str, operation: str = "") -> Operation | None:
        """The operation of an action that was sent before: by its name, else by its request id; None when there is none."""
        region = "" if action.kind == "template" else action.region
        if operation:
            return get_operation(self._connection, name=operation, region=region, zone=action.zone)
        return find_operation(self._connection, request_id=request_id, region=region, zone=action.zone)
