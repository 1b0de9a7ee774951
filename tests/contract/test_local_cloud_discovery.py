"""Every method answers in the shape of Google's discovery document."""

from __future__ import annotations

import json

from infra.local_cloud import routes
from tests.contract.discovery import REQUEST_FIELDS, problems, request_fields
from tests.contract.rest import ZONE, Rest, discovered

PLACES = {
    "project": "",
    "every zones": "zones",
    "every regions": "regions",
    "zones": ZONE,
    "regions": "regions/us-central1",
    "global": "global",
    "aggregated": "aggregated",
}
REGION = "regions/us-central1"


def test_request_fields_are_those_of_the_discovery_document():
    assert json.loads(REQUEST_FIELDS.read_text()) == request_fields()


def test_the_check_finds_what_is_wrong():
    wrong = {"kind": 1, "sizeGb": 10, "status": "HAPPY", "colour": "red", "labels": {"a": 1}, "users": "me"}
    assert [line.split(":")[0] for line in problems(wrong, "Disk")] == [
        "Disk.kind",
        "Disk.sizeGb",
        "Disk.status",
        "Disk.colour",
        "Disk.labels.a",
        "Disk.users",
    ]


def served() -> set[str]:
    """Ids of the discovery document's methods that the local cloud has a route for."""
    found = set()
    for (place, collection, shape), by_method in routes._table().items():
        rest = {"": collection, "{name}": f"{collection}/x"}.get(shape, f"{collection}/x/{shape}")
        path = "/".join(part for part in ("projects/p", PLACES[place], rest) if part)
        for method in by_method:
            match = discovered(method, path)
            assert match is not None, f"{method} {path} is served, but Compute Engine does not have it"
            found.add(match[0])
    return found


def test_every_method_answers_in_the_documents_shape(rest: Rest):
    for place in ("", "regions", "zones", REGION, ZONE, f"{ZONE}/machineTypes", f"{ZONE}/machineTypes/n2-standard-8"):
        rest.get(place)
    rest.admin("stock", zone="us-central1-a", sku="n2-standard-8", limit=10)

    walk(
        rest,
        f"{ZONE}/reservations",
        reservation("r"),
        patch={"deleteAfterDuration": {"seconds": 60}},
        resize=({"specificSkuCount": "2"}, {}),
    )
    exhausted = rest.post(f"{ZONE}/reservations", reservation("too-big", 11))
    assert exhausted["error"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
    for place in (ZONE, REGION):
        group = {"name": "g", "instanceTemplate": "global/instanceTemplates/web", "targetSize": 12, "targetSuspendedSize": 1}
        walk(rest, f"{place}/instanceGroupManagers", group, patch={"targetStoppedSize": 2}, resize=(None, {"size": 3}))
    walk(rest, f"{REGION}/interconnectAttachments", attachment(), patch={"bandwidth": "BPS_20G"})
    walk(rest, f"{ZONE}/storagePools", pool(), patch={"poolProvisionedCapacityGb": "200"})
    walk(rest, f"{ZONE}/disks", {"name": "d", "sizeGb": 10}, resize=({"sizeGb": 20}, {}))
    zones = ["us-central1-a", "us-central1-b"]
    walk(rest, f"{REGION}/disks", {"name": "d", "sizeGb": 10, "replicaZones": zones}, resize=({"sizeGb": 20}, {}))
    walk(rest, "global/instanceTemplates", {"name": "t", "properties": {"machineType": "n2-standard-2"}})
    for place in (ZONE, REGION, "global"):
        name = rest.get(f"{place}/operations")["items"][0]["name"]
        rest.get(f"{place}/operations/{name}")
        rest.post(f"{place}/operations/{name}/wait")

    assert rest.seen == served()


def walk(rest: Rest, collection: str, body: dict, patch: dict | None = None, resize: tuple[dict | None, dict] | None = None) -> None:
    """Insert, look at it in every way, change it, look again, delete."""
    item = f"{collection}/{body['name']}"
    rest.post(collection, body)
    changes = [lambda: None]
    if patch is not None:
        changes.append(lambda: rest.patch(item, patch))
    if resize is not None:
        changes.append(lambda: rest.post(f"{item}/resize", resize[0], **resize[1]))
    for change in changes:
        change()
        rest.get(item)
        assert rest.get(collection)["items"]
        if not collection.startswith("global"):
            rest.get(f"aggregated/{collection.rpartition('/')[2]}")
        if collection.endswith("instanceGroupManagers"):
            rest.post(f"{item}/listManagedInstances")
    rest.delete(item)


def reservation(name: str, count: int = 1) -> dict:
    return {"name": name, "specificReservation": {"count": count, "instanceProperties": {"machineType": "n2-standard-8"}}}


def attachment() -> dict:
    return {"name": "a", "interconnect": "global/interconnects/i", "router": "routers/r", "bandwidth": "BPS_1G", "labels": {"app": "x"}}


def pool() -> dict:
    return {"name": "p", "poolProvisionedCapacityGb": 100, "storagePoolType": "hyperdisk-balanced", "poolProvisionedIops": 1000}
