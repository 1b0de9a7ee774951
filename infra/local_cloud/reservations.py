"""Zonal reservations: machines of one type, held whether or not VMs use them.

VMs of the groups consume a matching reservation (see `capacity`); `inUseCount` says how many do. A reservation with
`deleteAfterDuration` or `deleteAtTime` goes when the server's clock reaches the time; VMs that used it go on, and then count
for themselves. A reservation does not shrink below its `inUseCount`.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from infra.local_cloud.call import Call, last_part, stamp
from infra.local_cloud.errors import invalid
from infra.local_cloud.fields import Body
from infra.local_cloud.kinds import Change, Kind
from infra.local_cloud.store import Row

__all__ = ["RESERVATIONS"]

_PATCHABLE: Final = {
    "deleteAfterDuration",
    "deleteAtTime",
    "enableEmergentMaintenance",
    "reservationSharingPolicy",
    "shareSettings",
    "specificReservation",
}


def _prepare(call: Call, asked: Body) -> Body:
    specific = asked.get("specificReservation")
    if specific is None:
        raise invalid("Invalid value for field 'resource.specificReservation': ''. Only specific reservations are supported here.")
    count = call.whole(specific.get("count"), "resource.specificReservation.count", least=1)
    properties = dict(specific.get("instanceProperties") or _template_properties(call, specific.get("sourceInstanceTemplate", "")))
    machine_type, zone = last_part(properties.get("machineType", "")), call.scope.partition("/")[2]
    if call.cloud.catalog.machine_type(machine_type, zone) is None:
        field = "resource.specificReservation.instanceProperties.machineType"
        raise invalid(f"Invalid value for field '{field}': '{machine_type}'. The zone {zone} does not offer this machine type.")
    body = {key: value for key, value in asked.items() if key not in {"name", "zone", "specificReservation"}}
    body["specificReservation"] = {**specific, "count": str(count), "instanceProperties": {**properties, "machineType": machine_type}}
    body.setdefault("specificReservationRequired", False)
    body.setdefault("reservationSharingPolicy", {"serviceShareType": "DISALLOW_ALL"})
    body.setdefault("shareSettings", {"shareType": "LOCAL"})
    _check_expiry(asked, _expiry(asked, call.now), call.now)
    return body


def _template_properties(call: Call, link: str) -> Body:
    row = call.store.find("instanceTemplates", "global", last_part(link)) if link else None
    if row is None:
        raise invalid(
            "Invalid value for field 'resource.specificReservation.instanceProperties': ''. Give them, or a template that exists."
        )
    return {"machineType": row.body["properties"].get("machineType", "")}


def _applied(call: Call, row: Row) -> None:
    """Set when it goes; a patch moves it at once."""
    body = row.pending or row.body
    call.store.set_expiry(row, _expiry(body, row.created))


def _present(call: Call, row: Row) -> Body:
    specific = row.body["specificReservation"]
    in_use = call.in_use.get(row.path, 0)
    counts = {"assuredCount": specific["count"], "inUseCount": str(in_use)}
    body = {**row.body, **call.frame(row, "reservation"), "status": row.phase, "specificReservation": {**specific, **counts}}
    body["resourceStatus"] = {"specificSkuAllocation": {}}
    if row.expires_at is not None:
        body["deleteAtTime"] = stamp(row.expires_at)
    return body


def _resize(call: Call, row: Row) -> Body:
    return _with_count(call, row, call.body.get("specificSkuCount"), "specificSkuCount")


def _with_count(call: Call, row: Row, asked: object, field: str) -> Body:
    count = call.whole(asked, field, least=1)
    in_use = call.in_use.get(row.path, 0)
    if count < in_use:
        raise invalid(f"Invalid value for field '{field}': '{count}'. The reservation is in use by {in_use} VMs and cannot be smaller.")
    return {**row.body, "specificReservation": {**row.body["specificReservation"], "count": str(count)}}


def _patch(call: Call, row: Row) -> Body:
    """Take the fields that `paths` or `updateMask` name, or all that were sent."""
    named = {path.split(".")[0] for values in ("paths", "updateMask") for path in ",".join(call.query.get(values, [])).split(",") if path}
    sent = named or set(call.body) - {"name", "zone", "kind", "selfLink", "id", "description"}
    if refused := sorted(sent - _PATCHABLE):
        raise invalid(
            f"Invalid value for field 'updateMask': '{refused[0]}'. It cannot be changed; allowed: {', '.join(sorted(_PATCHABLE))}."
        )
    body = dict(row.body)
    for key in sent - {"specificReservation"}:
        body.pop(key, None)
        if key in call.body:
            body[key] = call.body[key]
    if {"deleteAtTime", "deleteAfterDuration"} & sent:
        for key in {"deleteAtTime", "deleteAfterDuration"} - sent:
            body.pop(key, None)
        _check_expiry(call.body, _expiry(body, row.created), call.now)
    if "specificReservation" in sent:
        count = call.body.get("specificReservation", {}).get("count")
        body["specificReservation"] = _with_count(call, row, count, "specificReservation.count")["specificReservation"]
    return body


def _expiry(body: Body, created: float) -> float | None:
    """Seconds since 1970 when the reservation goes; None when it stays."""
    if "deleteAtTime" in body:
        try:
            when = dt.datetime.fromisoformat(body["deleteAtTime"])
        except ValueError as error:
            raise invalid(f"Invalid value for field 'resource.deleteAtTime': '{body['deleteAtTime']}'. Must be RFC 3339.") from error
        return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp()
    if "deleteAfterDuration" in body:
        duration = body["deleteAfterDuration"]
        return created + int(duration.get("seconds", 0)) + int(duration.get("nanos", 0)) / 1e9
    return None


def _check_expiry(asked: Body, expires_at: float | None, now: float) -> None:
    if "deleteAtTime" in asked and "deleteAfterDuration" in asked:
        raise invalid("Invalid value for field 'resource.deleteAtTime': only one of deleteAtTime and deleteAfterDuration can be set.")
    if expires_at is not None and expires_at <= now:
        raise invalid(f"Invalid value for field 'resource.deleteAtTime': '{stamp(expires_at)}'. Must be in the future.")


RESERVATIONS: Final = Kind(
    collection="reservations",
    schema="Reservation",
    scopes=("zones",),
    prepare=_prepare,
    present=_present,
    patch=Change(_patch, "compute.allocations.update", "Reservation"),
    actions={"resize": Change(_resize, "resize", "ReservationsResizeRequest")},
    applied=_applied,
)
