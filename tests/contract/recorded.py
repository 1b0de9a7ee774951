"""Recorded exchanges with Compute Engine: reading them, and comparing an answer with the recorded one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

RECORDINGS = Path(__file__).parent / "recordings"
PROJECT = "recorded"
FINGERPRINT = "abcdef0123A="
# Differ from run to run, or were replaced by the recorder.
VOLATILE = {"id", "targetId", "insertTime", "startTime", "endTime", "creationTimestamp", "fingerprint", "labelFingerprint", "user"}
OURS = re.compile(
    r"(zones|regions)/[\w-]+(/(reservations|instanceGroupManagers|disks|operations|interconnectAttachments)\b.*)?|global/(instanceTemplates|operations)\b.*"
)


@dataclass(frozen=True)
class Exchange:
    """One request and the recorded answer; `path` is below the project, and `{operation}` stands for the last operation's name."""

    number: int
    method: str
    path: str
    query: list[tuple[str, str]]
    body: Any
    status: int
    answer: Any

    def __str__(self) -> str:
        return f"{self.number} {self.method} {self.path}"


def exchanges(name: str) -> Iterator[Exchange]:
    """The exchanges of a kcc log that concern resources of the local cloud, in order."""
    last_write_is_ours = False
    for number, text in enumerate(re.split(r"\n---\n", (RECORDINGS / "kcc" / name).read_text())):
        head, _, rest = text.strip("\n").partition("\n")
        method, _, url = head.partition(" ")
        parts = urlsplit(_filled(url))
        if f"/compute/v1/projects/{PROJECT}/" not in parts.path:
            continue
        path = parts.path.partition(f"/projects/{PROJECT}/")[2]
        if method != "GET":
            last_write_is_ours = OURS.fullmatch(path) is not None
        if not OURS.fullmatch(path) or ("{operation}" in path and not last_write_is_ours):
            continue
        request, status, answer = re.split(r"^(\d{3}) [A-Z].*\n", rest, maxsplit=1, flags=re.MULTILINE)
        yield Exchange(number, method, path, parse_qsl(parts.query), _json(request), int(status), _json(answer))


def stored(name: str) -> Any:
    """The body of a single recorded answer."""
    content = json.loads((RECORDINGS / name).read_text())
    return content.get("body", content)


def differences(recorded: Any, ours: Any, *, values: bool, path: str = "") -> Iterator[str]:
    """What the recorded answer has that ours lacks, has in another type, or (with `values`) has with another value."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key, value in recorded.items():
            if key not in ours:
                yield f"{path}.{key} is missing"
            else:
                yield from differences(value, ours[key], values=values and key not in VOLATILE, path=f"{path}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list):
        if bool(recorded) != bool(ours):
            yield f"{path} has {len(ours)} items, recorded {len(recorded)}"
        for index, (one, other) in enumerate(zip(recorded, ours, strict=False)):
            yield from differences(one, other, values=values, path=f"{path}[{index}]")
    elif _kind(recorded) is not _kind(ours) or (values and recorded != ours and "{operation}" not in str(recorded)):
        yield f"{path} is {ours!r}, recorded {recorded!r}"


def additions(recorded: Any, ours: Any) -> set[str]:
    """Top-level fields of ours that the recorded answer does not have."""
    return set(ours) - set(recorded)


def _filled(text: str) -> str:
    """Placeholders of the recorder as names that are allowed."""
    text = text.replace("${projectId}", PROJECT).replace("shared-reservations-project", PROJECT).replace("${operationID}", "{operation}")
    text = text.replace("${projectNumber}", "123456789").replace("https://compute.googleapis.com/", "https://www.googleapis.com/")
    return re.sub(r"\$\{(\w+?)(ID|Id)?\}", lambda match: match[1].lower(), text)


def _json(text: str) -> Any:
    start = re.search(r"^\{", text, flags=re.MULTILINE)
    return json.loads(_filled(text[start.start() :])) if start else None


def _kind(value: Any) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)
