"""A plain HTTP client of the local cloud that holds every answer against the discovery document."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import requests

from tests.contract.discovery import document, problems

N2 = {"machineType": "n2-standard-8"}
ZONE = "zones/us-central1-a"


@dataclass
class Rest:
    """Calls below `/compute/v1/projects/{project}/`; `seen` gathers the ids of the methods that answered 200."""

    address: str
    project: str
    state: Path
    session: requests.Session = field(default_factory=requests.Session)
    seen: set[str] = field(default_factory=set)

    def call(self, method: str, path: str, body: Any = None, status: int = 200, **query: Any) -> dict[str, Any]:
        """The answer's JSON, after checking its status and shape."""
        where = f"projects/{self.project}/{path}".rstrip("/")
        answer = self.session.request(method, f"{self.address}/compute/v1/{where}", json=body, params=query, timeout=30)
        assert answer.status_code == status, answer.text
        content = dict(answer.json())
        if status == 200:
            found = discovered(method, where)
            assert found is not None, f"{method} {where} is not in the discovery document"
            identity, schema = found
            assert problems(content, schema) == []
            self.seen.add(identity)
        else:
            assert content["error"]["code"] == status
            assert content["error"]["errors"][0]["message"] == content["error"]["message"]
        return content

    def get(self, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
        return self.call("GET", path, status=status, **query)

    def post(self, path: str, body: Any = None, status: int = 200, **query: Any) -> dict[str, Any]:
        return self.call("POST", path, body, status, **query)

    def patch(self, path: str, body: Any, status: int = 200, **query: Any) -> dict[str, Any]:
        return self.call("PATCH", path, body, status, **query)

    def delete(self, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
        return self.call("DELETE", path, status=status, **query)

    def reason(self, answer: dict[str, Any]) -> str:
        return str(answer["error"]["errors"][0]["reason"])

    def admin(self, topic: str, **body: Any) -> None:
        answer = self.session.put(f"{self.address}/admin/{topic}", json=body, timeout=30)
        assert answer.status_code == 200, answer.text

    def later(self, seconds: float) -> None:
        self.admin("clock", advance_seconds=seconds)

    def usage(self, metric: str, region: str = "us-central1") -> float:
        (found,) = [quota["usage"] for quota in self.get(f"regions/{region}")["quotas"] if quota["metric"] == metric]
        return float(found)

    def reserve(self, name: str, count: int, zone: str = ZONE, **more: Any) -> dict[str, Any]:
        body = {"name": name, "specificReservation": {"count": count, "instanceProperties": N2}, **more}
        return self.post(f"{zone}/reservations", body)

    def group(self, name: str, size: int, place: str = ZONE, **more: Any) -> dict[str, Any]:
        return self.post(
            f"{place}/instanceGroupManagers", {"name": name, "instanceTemplate": "global/instanceTemplates/web", "targetSize": size, **more}
        )

    def statuses(self, name: str, place: str = ZONE) -> list[str]:
        """What each VM of a group is, or its action when it has no status."""
        vms = self.post(f"{place}/instanceGroupManagers/{name}/listManagedInstances").get("managedInstances", [])
        return sorted(vm.get("instanceStatus", vm["currentAction"]) for vm in vms)


@cache
def _methods() -> list[tuple[str, re.Pattern[str], str, str]]:
    found = []
    for resource in document()["resources"].values():
        for method in resource["methods"].values():
            if "response" in method:
                pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", method["path"]))
                found.append((method["httpMethod"], pattern, method["id"], method["response"]["$ref"]))
    return found


def discovered(method: str, path: str) -> tuple[str, str] | None:
    """Id and response schema of the method of the discovery document that the request calls."""
    for verb, pattern, identity, schema in _methods():
        if verb == method and pattern.fullmatch(path):
            return identity, schema
    return None
