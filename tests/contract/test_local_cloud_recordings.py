"""The local cloud answers recorded requests as Compute Engine did.

Every exchange of a log that concerns our resources is sent in order; the answer has the recorded status, every recorded
field, and the recorded values except ids, times and fingerprints. What differs is listed below with its reason.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infra.local_cloud import Timing, running_cloud
from tests.contract.recorded import FINGERPRINT, PROJECT, Exchange, additions, differences, exchanges, stored
from tests.contract.rest import Rest

# Log -> how many of its exchanges are ours.
LOGS = {
    "disk_regional.log": 5,
    "disk_zonal.log": 6,
    "mig_regional_insert_patch_delete.log": 16,
    "mig_zonal_insert_patch_delete.log": 16,
    "reservation_basic.log": 6,
    "reservation_full_insert_resize_delete.log": 9,
    "reservation_share_add_project.log": 9,
    "reservation_shared_patch.log": 12,
    "zones_gcloud.log": 1,
}
LATE = "Compute Engine showed the template a moment after its operation was DONE; the local cloud shows it at once"
UNRECORDED = "the template was deleted by a request that is not in the log"
# (log, number of the exchange) -> why it is not sent.
SKIPPED = {
    ("mig_regional_insert_patch_delete.log", 13): LATE,
    ("mig_regional_insert_patch_delete.log", 27): UNRECORDED,
    ("mig_zonal_insert_patch_delete.log", 17): LATE,
    ("mig_zonal_insert_patch_delete.log", 35): UNRECORDED,
}
MOCK = "this log has the marks of a mock: operations without a type, a disk type 'regiondiskTypes', its own wording"
BETA = "Compute Engine names the instance group in the beta API, whichever API is asked"
NUMBERS = "Compute Engine replaces project ids by project numbers, which the local cloud cannot know"
# (log, pattern of differences) -> reason. An entry that matches nothing fails the test.
DIFFERENT = {
    ("disk_regional.log", r".*message is "): MOCK,
    ("disk_regional.log", r".*\.status is 'RUNNING', recorded 'DONE'"): MOCK,
    ("disk_regional.log", r".*\.type is "): MOCK,
    ("mig_regional_insert_patch_delete.log", r".*\.instanceGroup is "): BETA,
    ("mig_zonal_insert_patch_delete.log", r".*\.instanceGroup is "): BETA,
    ("reservation_shared_patch.log", r".*\.shareSettings\.projectMap\.123456789 is missing"): NUMBERS,
    ("reservation_shared_patch.log", r".*\.shareSettings\.projects is missing"): NUMBERS,
}
# kind -> fields that ours has and some recording has not -> reason
ADDED = {
    "compute#reservation": {"resourceStatus": "only the newest recording has it"},
    "compute#disk": {"sizeGb": "dropped by the recorder", "labelFingerprint": "only the regional recording has it"},
    "compute#operation": dict.fromkeys(("targetLink", "region", "operationType", "targetId", "user"), MOCK),
    "compute#instanceGroupManager": {
        "currentActions": "dropped by the recorder; the recorded aggregated list has it",
        "distributionPolicy": "dropped by the recorder; regional groups have it",
    },
}


@pytest.fixture
def cloud(tmp_path: Path):
    with running_cloud(tmp_path, PROJECT, timing=Timing(operation=30, boot=1)) as address:
        yield Rest(address, PROJECT, tmp_path)


@pytest.mark.parametrize("log", LOGS)
def test_a_recorded_log_is_answered_alike(cloud: Rest, log: str):
    sent, found, operation, fingerprint = 0, set(), "", ""
    for exchange in exchanges(log):
        sent += 1
        if (log, exchange.number) in SKIPPED:
            continue
        ours = send(cloud, exchange, operation, fingerprint)
        if ours.get("kind") == "compute#operation":
            operation = ours["name"]
        fingerprint = ours.get("fingerprint", fingerprint)
        found |= {f"{exchange}: {line}" for line in differences(exchange.answer, ours, values=True)}
        extra = additions(exchange.answer, ours) - set(ADDED.get(ours.get("kind", ""), {}))
        found |= {f"{exchange}: .{name} was not recorded" for name in extra}
        if exchange.method != "GET" and exchange.answer.get("status") == "DONE":
            cloud.later(60)
    assert sent == LOGS[log]
    patterns = [pattern for name, pattern in DIFFERENT if name == log]
    assert [line for line in sorted(found) if not any(re.match(pattern, line) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(re.match(pattern, line) for line in found)] == []


def send(cloud: Rest, exchange: Exchange, operation: str, fingerprint: str) -> dict:
    if "{operation}" in exchange.path and exchange.answer["status"] == "DONE":
        cloud.later(60)
    body = json.loads(json.dumps(exchange.body).replace(FINGERPRINT, fingerprint))
    path = exchange.path.replace("{operation}", operation)
    return cloud.call(exchange.method, path, body, exchange.status, **{key: value for key, value in exchange.query if key != "paths"})


def test_attachments_have_the_recorded_shape(cloud: Rest):
    recorded = stored("c7n/interconnectAttachments_get.json")
    given = ("name", "router", "type", "edgeAvailabilityDomain", "labels")
    operation = cloud.post("regions/us-central1/interconnectAttachments", {key: recorded[key] for key in given})
    cloud.later(60)
    ours = cloud.get(f"regions/us-central1/interconnectAttachments/{recorded['name']}")
    assert shape(recorded, ours) == []
    assert (ours["state"], ours["adminEnabled"], ours["encryption"]) == ("PENDING_PARTNER", True, "NONE")
    done = cloud.get(f"regions/us-central1/operations/{operation['name']}")
    assert shape(stored("c7n/interconnectAttachments_setLabels_operation.json"), done) == []
    everywhere = cloud.get("aggregated/interconnectAttachments")
    expected = stored("c7n/interconnectAttachments_aggregatedList.json")
    assert shape({key: expected["items"][key] for key in ("regions/us-central1", "regions/europe-west1")}, everywhere["items"]) == []
    assert shape(expected | {"items": {}}, everywhere) == []


def test_projects_and_regions_have_the_recorded_shape(cloud: Rest):
    project = stored("c7n/projects_get_quotas.json")
    project["commonInstanceMetadata"].pop("items")  # settings of the recorded project
    for name in ("defaultServiceAccount", "xpnProjectStatus"):
        project.pop(name, None)
    assert shape(project, cloud.get("")) == []
    region = stored("libcloud/regions_us-central1.json")
    assert shape(region, cloud.get("regions/us-central1")) == []


def test_groups_have_the_recorded_shape(cloud: Rest):
    cloud.post("global/instanceTemplates", {"name": "my-instance-template1", "properties": {"machineType": "n1-standard-1"}})
    cloud.later(60)
    group = {"name": "myinstancegroup", "description": "d", "baseInstanceName": "base-foo", "targetSize": 4}
    for zone in ("us-central1-b", "us-east1-b"):
        link = "global/instanceTemplates/my-instance-template1"
        cloud.post(f"zones/{zone}/instanceGroupManagers", group | {"instanceTemplate": link})
    cloud.later(60)
    recorded = stored("libcloud/aggregated_instanceGroupManagers.json")
    ours = cloud.get("aggregated/instanceGroupManagers")
    assert shape(recorded["items"], ours["items"]) == []
    vms = stored("libcloud/_zones_us_central1_a_instanceGroupManagers_myinstancegroup_listManagedInstances.json")
    assert shape(vms, cloud.post("zones/us-central1-b/instanceGroupManagers/myinstancegroup/listManagedInstances")) == []


def test_a_failed_operation_has_the_recorded_shape(cloud: Rest):
    recorded = stored("libcloud/operations_operation_zones_europe-west1-a_instances_post.json")
    cloud.admin("stock", zone="us-central1-a", sku="n2", limit=4)
    operation = cloud.reserve("r", 1)
    cloud.later(60)
    ours = cloud.get(f"zones/us-central1-a/operations/{operation['name']}")
    assert shape(recorded, ours) == []
    assert (ours["httpErrorStatusCode"], ours["httpErrorMessage"]) == (503, "SERVICE UNAVAILABLE")


def shape(recorded: dict, ours: dict) -> list[str]:
    return list(differences(recorded, ours, values=False))
