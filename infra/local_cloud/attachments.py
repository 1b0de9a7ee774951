"""Interconnect attachments. Only a DEDICATED one has a bandwidth that can be set, in 14 steps.

The interconnect and router that an attachment names are not looked up: neither is a resource here.
"""

from __future__ import annotations

from typing import Final

from infra.local_cloud.bandwidth import MEGABITS
from infra.local_cloud.call import Call
from infra.local_cloud.errors import invalid
from infra.local_cloud.fields import Body
from infra.local_cloud.fingerprints import check, fingerprint
from infra.local_cloud.kinds import Change, Kind
from infra.local_cloud.store import Row

__all__ = ["ATTACHMENTS"]

_PATCHABLE: Final = {"adminEnabled", "bandwidth", "description", "labels", "mtu", "stackType"}
_IGNORED: Final = {"name", "kind", "id", "selfLink", "region", "type", "labelFingerprint"}


def _prepare(_call: Call, asked: Body) -> Body:
    body = {key: value for key, value in asked.items() if key not in {"name", "region", "labelFingerprint"}}
    kind = body.setdefault("type", "DEDICATED")
    if kind == "DEDICATED":
        if not body.get("interconnect"):
            raise invalid("Invalid value for field 'resource.interconnect': ''. A DEDICATED attachment needs its interconnect.")
        body.setdefault("bandwidth", "BPS_10G")
    elif "bandwidth" in body:
        raise invalid(f"Invalid value for field 'resource.bandwidth': '{body['bandwidth']}'. It cannot be set on a {kind} attachment.")
    if kind != "PARTNER" and not body.get("router"):
        raise invalid("Invalid value for field 'resource.router': ''. The attachment needs its Cloud Router.")
    return {"adminEnabled": True, "encryption": "NONE", "stackType": "IPV4_ONLY", **body}


def _present(call: Call, row: Row) -> Body:
    labels = row.body.get("labels", {})
    body = {**row.body, **call.frame(row, "interconnectAttachment"), "labelFingerprint": fingerprint(labels)}
    if row.body["type"] == "PARTNER":
        zone = row.body.get("edgeAvailabilityDomain", "AVAILABILITY_DOMAIN_ANY")[-1]
        return {**body, "state": "PENDING_PARTNER", "pairingKey": f"{row.id}/{row.scope.partition('/')[2]}/{zone}"}
    ready = row.phase != "CREATING"
    return {**body, "state": "ACTIVE" if ready else "UNPROVISIONED", "operationalStatus": "OS_ACTIVE" if ready else "OS_UNPROVISIONED"}


def _patch(call: Call, row: Row) -> Body:
    sent = {key: value for key, value in call.body.items() if key not in _IGNORED}
    if refused := sorted(set(sent) - _PATCHABLE):
        raise invalid(f"Invalid value for field 'resource.{refused[0]}': it cannot be changed; allowed: {', '.join(sorted(_PATCHABLE))}.")
    if "bandwidth" in sent and (row.body["type"] != "DEDICATED" or sent["bandwidth"] not in MEGABITS):
        raise invalid(f"Invalid value for field 'resource.bandwidth': '{sent['bandwidth']}'. Only a DEDICATED attachment has one.")
    if "labels" in sent:
        check(call.body.get("labelFingerprint"), row.body.get("labels", {}))
    return {**row.body, **sent}


ATTACHMENTS: Final = Kind(
    collection="interconnectAttachments",
    schema="InterconnectAttachment",
    scopes=("regions",),
    prepare=_prepare,
    present=_present,
    patch=Change(_patch, "patch", "InterconnectAttachment"),
)
