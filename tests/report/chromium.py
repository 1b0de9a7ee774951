"""A page seen by a real headless Chromium: what it says on the console, what it asks the network for, and its DOM."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")

# The browser's own errands (updates, its clock) must not leave the machine, and are told apart by their missing initiator.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


@dataclass(frozen=True)
class Seen:
    dom: str
    console: list[str]
    requests: set[str]


def look_at(page: Path, work: Path, *flags: str) -> Seen:
    """Load a file; `requests` are the addresses that the page asked the network for."""
    log = work / "network.json"
    command = [str(BROWSER), *_FLAGS, f"--user-data-dir={work / 'profile'}", "--enable-logging=stderr", f"--log-net-log={log}", *flags]
    done = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    events = [event["params"] for event in json.loads(log.read_text())["events"] if "params" in event]
    requests = {p["url"] for p in events if "url" in p and p.get("initiator", "not an origin") != "not an origin"}
    return Seen(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line], requests)
