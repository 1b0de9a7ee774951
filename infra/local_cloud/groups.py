"""Managed instance groups, zonal and regional, with standby pools.

A change of size is accepted at once: `targetSize` shows the new number, the operation is DONE after the usual time, and the
VMs come later. Until every VM is what it should be `status.isStable` is false. A lack of quota or stock does not fail the
operation: the VM stays in `creating` and `listManagedInstances` shows the error of its last attempt.
"""

from __future__ import annotations

from typing import Any, Final

from infra.local_cloud import vms
from infra.local_cloud.call import Call, last_part
from infra.local_cloud.errors import invalid, not_found
from infra.local_cloud.fields import Body
from infra.local_cloud.fingerprints import check, fingerprint
from infra.local_cloud.kinds import Change, Kind
from infra.local_cloud.listing import page
from infra.local_cloud.methods import visible
from infra.local_cloud.store import Row

__all__ = ["GROUPS", "REGION_GROUPS", "list_managed_instances"]

_SIZES: Final = ("targetSize", "targetSuspendedSize", "targetStoppedSize")
_SERVER_SIDE: Final = {"name", "zone", "region", "fingerprint", "status", "currentActions", "instanceGroup", "kind", "id", "selfLink"}
_ACTIONS: Final = [
    "abandoning",
    "creating",
    "creatingWithoutRetries",
    "deleting",
    "none",
    "recreating",
    "refreshing",
    "restarting",
    "resuming",
    "starting",
    "stopping",
    "suspending",
    "verifying",
]
_MOST: Final = 4000
_SUSPENDABLE_MB: Final = 208 * 1024
# Values that an answer leaves out, as recorded.
_UNSAID: Final = {"targetSuspendedSize": 0, "targetStoppedSize": 0, "standbyPolicy": {"initialDelaySec": 0, "mode": "MANUAL"}}


def list_managed_instances(call: Call, kind: Kind, name: str) -> Body:
    """One page of the group's VMs."""
    group = visible(call, kind, name)
    shown = [(vm.name, _managed_instance(call, group, vm)) for vm in vms.of_group(call.store, group.id)]
    items, token = page(call, shown)
    return {
        **({"managedInstances": [item for _, item in items]} if items else {}),
        **({"nextPageToken": token} if token else {}),
    }


def _prepare(call: Call, asked: Body) -> Body:
    body = {key: value for key, value in asked.items() if key not in _SERVER_SIDE}
    if "targetSize" not in body:
        raise invalid("Invalid value for field 'resource.targetSize': ''. A target size is required.")
    body.setdefault("baseInstanceName", str(asked["name"])[:58])
    body["standbyPolicy"] = {"initialDelaySec": 0, "mode": "MANUAL", **body.get("standbyPolicy", {})}
    body = {"targetSuspendedSize": 0, "targetStoppedSize": 0, **body}
    if call.scope.startswith("regions/"):
        body["distributionPolicy"] = _distribution(call, body.get("distributionPolicy", {}))
    return _checked(call, body)


def _distribution(call: Call, policy: Body) -> Body:
    known = call.cloud.catalog.regions[call.scope.partition("/")[2]]
    zones = [last_part(entry["zone"]) for entry in policy.get("zones", [])] or list(known[:3])
    if unknown := sorted(set(zones) - set(known)):
        raise invalid(f"Invalid value for field 'resource.distributionPolicy': '{unknown[0]}'. Must be among {', '.join(known)}.")
    return {"targetShape": "EVEN", **policy, "zones": [{"zone": call.url(f"zones/{zone}")} for zone in zones]}


def _checked(call: Call, body: Body) -> Body:
    for field in _SIZES:
        if call.whole(body[field], f"resource.{field}") > _MOST:
            raise invalid(f"Invalid value for field 'resource.{field}': '{body[field]}'. Must be at most {_MOST}.")
    body.setdefault("instanceTemplate", (body.get("versions") or [{}])[0].get("instanceTemplate", ""))
    _check_suspension(call, body, last_part(_template(call, body)["machineType"]))
    return body


def _check_suspension(call: Call, body: Body, machine_type: str) -> None:
    """Machines with more memory than can be written away are not suspended."""
    kind, _, place = call.scope.partition("/")
    zone = place if kind == "zones" else call.cloud.catalog.regions[place][0]
    machine = call.cloud.catalog.machine_type(machine_type, zone)
    if machine is not None and int(body["targetSuspendedSize"]) and machine.memory_mb > _SUSPENDABLE_MB:
        raise invalid(
            f"Invalid value for field 'resource.targetSuspendedSize': '{body['targetSuspendedSize']}'. "
            f"Machines of type {machine_type} cannot be suspended: more than {_SUSPENDABLE_MB // 1024} GB of memory."
        )


def _template(call: Call, body: Body) -> Body:
    """The properties of the group's template; 404 when there is no such template."""
    name = last_part(body["instanceTemplate"])
    row = call.store.find("instanceTemplates", "global", name)
    if row is None:
        raise not_found(call.path(f"global/instanceTemplates/{name}"))
    return dict(row.body["properties"])


def _patch(call: Call, row: Row) -> Body:
    check(call.body.get("fingerprint"), row.body)
    sent = {key: value for key, value in call.body.items() if key not in _SERVER_SIDE}
    for key in ("standbyPolicy", "updatePolicy"):
        if key in sent:
            sent[key] = {**row.body.get(key, {}), **sent[key]}
    if "distributionPolicy" in sent and call.scope.startswith("regions/"):
        sent["distributionPolicy"] = _distribution(call, {**row.body["distributionPolicy"], **sent["distributionPolicy"]})
    return _checked(call, {**row.body, **sent})


def _resize(call: Call, row: Row) -> Body:
    return _checked(call, {**row.body, "targetSize": call.whole(call.parameter("size"), "size")})


def _applied(call: Call, row: Row) -> None:
    properties = _template(call, row.body)
    if call.scope.startswith("zones/"):
        zones = [call.scope.partition("/")[2]]
    else:
        zones = [last_part(entry["zone"]) for entry in row.body["distributionPolicy"]["zones"]]
    vms.align(call, row, zones=zones, machine_type=last_part(properties["machineType"]), affinity=_affinity(properties))


def _affinity(properties: dict[str, Any]) -> str:
    """Which reservations the VMs consume: `any`, `none`, or `name:<reservation>`. Spot VMs (`spot`) consume none."""
    affinity = properties.get("reservationAffinity", {})
    kind = affinity.get("consumeReservationType", "ANY_RESERVATION")
    if kind == "SPECIFIC_RESERVATION" and affinity.get("values"):
        return f"name:{last_part(affinity['values'][0])}"
    if properties.get("scheduling", {}).get("provisioningModel") == "SPOT":
        return "spot"
    return "any" if kind == "ANY_RESERVATION" else "none"


def _removed(call: Call, row: Row) -> None:
    vms.release(call.store, row.id)


def _present(call: Call, row: Row) -> Body:
    machines = vms.of_group(call.store, row.id)
    actions = dict.fromkeys(_ACTIONS, 0)
    for vm in machines:
        name = _action(vm)
        actions[name.lower()] += 1
    status = {
        "isStable": row.phase != "CREATING" and all(vm.stable for vm in machines),
        "versionTarget": {"isReached": True},
    }
    return {
        **{key: value for key, value in row.body.items() if value != _UNSAID.get(key)},
        **call.frame(row, "instanceGroupManager"),
        "fingerprint": fingerprint(row.body),
        "instanceGroup": call.url(f"{row.scope}/instanceGroups/{row.name}"),
        "currentActions": actions,
        "status": status,
    }


def _action(vm: vms.Vm) -> str:
    if vm.stable:
        return "NONE"
    if vm.state == "LEAVING":
        return "DELETING"
    if vm.state in {"WAITING", "BOOTING"}:
        return "CREATING"
    if vm.target == "SUSPENDED":  # it was suspended for too long, and is stopped now
        return "SUSPENDING"
    return "STARTING" if vm.state == "STOPPED" else "RESUMING"


def _managed_instance(call: Call, group: Row, vm: vms.Vm) -> Body:
    statuses = {
        "BOOTING": "STAGING",
        "RESUMING": "STAGING",
        "RUNNING": "RUNNING",
        "SUSPENDED": "SUSPENDED",
        "STOPPED": "TERMINATED",
        "LEAVING": "STOPPING",
    }
    body: Body = {
        "id": str(vm.id),
        "name": vm.name,
        "instance": call.url(f"zones/{vm.zone}/instances/{vm.name}"),
        "currentAction": _action(vm),
        "targetStatus": vm.target,
        "version": {"instanceTemplate": group.body["instanceTemplate"]},
    }
    if vm.state in statuses:
        body["instanceStatus"] = statuses[vm.state]
    if vm.failure:
        body["lastAttempt"] = {"errors": {"errors": vm.failure}}
    return body


def _kind(scope: str) -> Kind:
    return Kind(
        collection="instanceGroupManagers",
        schema="InstanceGroupManager",
        scopes=(scope,),
        prepare=_prepare,
        present=_present,
        patch=Change(_patch, "patch", "InstanceGroupManager"),
        actions={"resize": Change(_resize, "compute.instanceGroupManagers.resize", None)},
        applied=_applied,
        removed=_removed,
        at_once=True,
        list_word="regionInstanceGroupManager" if scope == "regions" else "",
    )


GROUPS: Final = _kind("zones")
REGION_GROUPS: Final = _kind("regions")
