"""A random walk of allocations, faults, crashes and clocks through a local cloud, and what must hold on the way and at its end."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from cloud_world import World
from plan_rows import ISSUE, REGION, ZONES, plan_of

from headroom.errors import HeadroomError, UnavailableError
from infra.corrections import Correction
from infra.drift import find_drift
from infra.local_cloud import Timing
from infra.orphans import find_orphans

MACHINES = {"edge": "headroom-edge-n2-standard-8", "batch": "headroom-batch-n2-standard-4"}
WEIGHTS = {"reconcile": 8, "fault": 8, "correct": 4, "allocate": 3, "wait": 3, "scarcity": 2, "by_hand": 1, "dry_run": 1, "skew": 1}
PATHS = ("", "/reservations", "/instanceGroupManagers", "/instanceTemplates", "/disks", "/interconnectAttachments", "/operations", "/wait")
FAULTS: tuple[dict[str, Any], ...] = (
    {"fault": "stockout"},
    {"fault": "quota", "metric": "N2_CPUS"},
    {"fault": "failed"},
    {"fault": "slow", "seconds": 0.2},
    {"fault": "unavailable"},
    {"fault": "cut"},
)
LONGEST_CRASH = 60
TIMING = Timing(operation=0.0, boot=3.0, resume=1.0, leave=1.0)


class CrashError(BaseException):
    """The process ends here: nothing after it runs, as with a kill."""


@dataclass
class Walk:
    """The walk's state; `most` is the largest amount of each reservation that anyone asked for since it was last confirmed."""

    here: World
    rng: random.Random
    issue: pd.Timestamp = ISSUE
    wants: dict[str, dict[str, Any]] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    ran: Counter[str] = field(default_factory=Counter)

    def go(self, steps: int) -> None:
        self.allocate()
        for _ in range(steps):
            name = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            getattr(self, name)()
            self.ran[name] += 1

    def allocate(self) -> None:
        """A new hour and a new plan for it."""
        self.issue += pd.Timedelta("1h")
        hot = self.rng.randrange(12)
        self.wants = {
            "edge": {"instances": (hot, self.rng.randrange(4)), "bandwidth": self.rng.choice([0.2, 3.0, 12.0])},
            "batch": {"instances": self.rng.randrange(8), "storage": self.rng.randrange(10, 300)},
        }
        for service in MACHINES:
            self.most[service] = max(self.most.get(service, 0), self.hot(service))

    def hot(self, service: str) -> int:
        amount = self.wants[service]["instances"]
        return int(amount[0] if isinstance(amount, tuple) else amount)

    def reconcile(self) -> None:
        """One attempt, which may crash anywhere; whatever becomes of it, nothing is reserved twice."""
        self.attempt("finished")

    def correct(self) -> None:
        """Some of the plan's standby machines of edge shall run, or all of it stand by again; reservations do not grow by it."""
        hot, warm = self.wants["edge"]["instances"]
        resumed, moment = self.rng.randrange(warm + 1), self.issue + self.rng.randrange(1, 12) * pd.Timedelta("5min")
        row = Correction(
            region=REGION,
            service="edge",
            machine_type="n2-standard-8",
            issue_time=moment,
            plan_time=self.issue,
            until=moment + pd.Timedelta("15min"),
            needed=hot + resumed,
            hot=hot + resumed,
            warm=warm - resumed,
            resumed=resumed,
            why="the walk wants it",
        )
        settled, before = not self.here.ledger.unfinished(REGION), self.reserved()
        self.attempt("corrected", corrections=[row])
        if settled:
            assert all(count <= before[name] for name, count in self.reserved().items())

    def attempt(self, done: str, **options: Any) -> None:
        crash_at = self.rng.randrange(1, LONGEST_CRASH) if self.rng.random() < 0.4 else 0
        steps = 0

        def checkpoint(_: str) -> None:
            nonlocal steps
            steps += 1
            if steps == crash_at:
                raise CrashError

        try:
            plan = plan_of(self.wants, issue=self.issue)
            self.here.reconcile(plan, issue_time=self.issue, settle_seconds=0, checkpoint=checkpoint, **options)
            self.ran[done] += 1
        except CrashError:
            self.ran["crashed"] += 1
        except UnavailableError:
            self.ran["unavailable"] += 1
        self.check_reserved()

    def check_reserved(self) -> None:
        there = self.reserved()
        for service, name in MACHINES.items():
            assert there[name] <= self.most[service], f"{name}: {there[name]} reserved, never more than {self.most[service]} wanted"
            if there[name] <= self.hot(service) and not self.here.ledger.unfinished(REGION):
                self.most[service] = self.hot(service)

    def reserved(self) -> Counter[str]:
        """Machines reserved by name over all zones, read past the faults."""
        found: Counter[str] = Counter()
        for zone in ZONES:
            for _ in range(20):
                try:
                    for item in self.here.get(f"zones/{zone}/reservations").get("items", []):
                        found[item["name"]] += int(item["specificReservation"]["count"])
                    break
                except OSError:  # what `requests` raises is one
                    continue
        return found

    def dry_run(self) -> None:
        """Nothing is written to the cloud or to the ledger."""
        before = len(self.here.writes()), self.here.ledger.recent(limit=1)
        try:
            self.here.reconcile(plan_of(self.wants, issue=self.issue), issue_time=self.issue, dry_run=True)
        except HeadroomError:
            self.ran["unavailable"] += 1
        assert (len(self.here.writes()), self.here.ledger.recent(limit=1)) == before

    def by_hand(self) -> None:
        """Somebody changes or deletes what is ours, past the ledger."""
        service = self.rng.choice(list(MACHINES))
        path, count = f"zones/{self.rng.choice(ZONES)}/reservations/{MACHINES[service]}", self.rng.randrange(1, 6)
        group = f"regions/{REGION}/instanceGroupManagers/headroom-{service}/resize?size={self.rng.randrange(8)}"
        self.most[service] += count
        changes = (("POST", f"{path}/resize", {"specificSkuCount": str(count)}), ("DELETE", path, None), ("POST", group, None))
        try:
            self.here.call(*self.rng.choice(changes))
        except OSError:  # it is not there, or a fault struck
            self.ran["by_hand_failed"] += 1

    def fault(self) -> None:
        if self.rng.random() < 0.05:  # those that wait for a rare call must not become a heap
            self.here.admin("faults", clear=True)
        fault, path = self.rng.choice(FAULTS), self.rng.choice(PATHS)
        times = self.rng.randrange(1, 8) if fault["fault"] == "unavailable" else self.rng.randrange(1, 3)
        self.here.admin("faults", **fault, path=path, times=times)

    def wait(self) -> None:
        """Machines boot, an hour goes, or everything lapses."""
        self.here.admin("clock", advance_seconds=self.rng.choice([5, 5, 3600, 40 * 3600]))

    def skew(self) -> None:
        self.here.admin("clock", skew_seconds=self.rng.randrange(-900, 900))

    def scarcity(self) -> None:
        if self.rng.random() < 0.3:
            self.here.admin("quotas", region=REGION, metric="N2_CPUS", limit=self.rng.choice([1000, 96, 40, 1000]))
        else:
            sku, limit = self.rng.choice([("n2-standard-8", 5), ("n2-standard-8", None), ("n2", 40), ("n2", None), ("resuming", 1)])
            self.here.admin("stock", zone=self.rng.choice(ZONES), sku=sku, limit=limit)

    def calm(self) -> None:
        """No faults, no scarcity, machines that booted, and a last plan for which there is room."""
        self.here.admin("faults", clear=True)
        for zone in ZONES:
            for sku in ("n2-standard-8", "n2", "resuming"):
                self.here.admin("stock", zone=zone, sku=sku, limit=None)
        self.here.admin("quotas", region=REGION, metric="N2_CPUS", limit=1000)
        for _ in range(3):  # machines that leave make room for the next look
            self.here.admin("clock", advance_seconds=60)
            self.allocate()
            self.here.reconcile(plan_of(self.wants, issue=self.issue), issue_time=self.issue, settle_seconds=0)
        self.here.admin("clock", advance_seconds=60)
        self.here.reconcile(plan_of(self.wants, issue=self.issue), issue_time=self.issue, settle_seconds=5)

    def check_end(self) -> None:
        """The cloud holds exactly the last plan; ledger and cloud know the same operations; nothing of ours is unknown."""
        here = self.here
        reserved = self.reserved()
        for service, name in MACHINES.items():
            assert reserved[name] == self.hot(service)
            group = here.cloud.group(REGION, f"headroom-{service}")
            assert group is not None
            assert group.running == self.hot(service)
        assert set(reserved) <= set(MACHINES.values())
        assert here.reconcile(plan_of(self.wants, issue=self.issue), issue_time=self.issue).writes == 0
        assert find_orphans(here.settings, here.ledger, here.cloud) == []
        late = pd.Timestamp.now(tz="UTC") + pd.Timedelta("300D")  # the cloud's clock ran ahead, and what is gone may have lapsed
        drift = find_drift(here.ledger, here.cloud, region=REGION, now=late)
        assert drift == [], drift
        self._check_ledger()

    def _check_ledger(self) -> None:
        here = self.here
        rows = {entry.request_id: entry for entry in here.ledger.recent(limit=10**6)}
        operations = [item for place in self._places() for item in self._operations(place)]
        asked = {item["clientOperationId"]: "failed" if "error" in item else "done" for item in operations if "clientOperationId" in item}
        assert len(asked) == sum("clientOperationId" in item for item in operations), "one request id, two operations"
        assert {identity: rows[identity].state for identity in asked} == asked, "an operation whose row is missing or says something else"
        assert {identity for identity, entry in rows.items() if entry.state == "done"} <= set(asked), "a row that is done without operation"
        assert here.ledger.unfinished(REGION) == []
        assert {access.request_id for access in here.writes()} <= set(rows)

    def _places(self) -> list[str]:
        return [f"zones/{zone}" for zone in ZONES] + [f"regions/{REGION}", "global"]

    def _operations(self, place: str) -> list[Any]:
        found, token = [], ""
        while True:
            page = self.here.get(f"{place}/operations?pageToken={token}")
            found += page.get("items", [])
            token = page.get("nextPageToken", "")
            if not token:
                return found
