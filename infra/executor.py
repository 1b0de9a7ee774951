"""Carries out one action: a ledger row, the call, the operation's name, the answer, each written before the next."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

import pandas as pd

from headroom.errors import CloudRefusedError
from infra.actions import Action
from infra.cloud import Cloud, Operation
from infra.ledger import Ledger
from infra.ledger_rows import Entry, Fact
from infra.refusals import is_denied, is_quota, is_there_already

__all__ = ["Checkpoint", "Executor"]

_LOG = logging.getLogger(__name__)
_QUOTA: Final = re.compile(r"Quota '([A-Z0-9_]+)'")
_SETTLE_PAUSE_SECONDS: Final = 0.5

Checkpoint = Callable[[str], None]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Executor:
    """Acts in one region for one issue time.

    Attributes:
        checkpoint: called with a step's name before and after every ledger write and cloud call.
        settle_seconds: how long a release waits for machines to leave their reservation.
        writes: writing calls made so far.
    """

    ledger: Ledger
    cloud: Cloud
    issue_time: pd.Timestamp
    region: str
    checkpoint: Checkpoint
    settle_seconds: float
    writes: int = 0

    def step(self, name: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a call, with a checkpoint on both sides."""
        self.checkpoint(f"before {name}")
        result = call(*args, **kwargs)
        self.checkpoint(f"after {name}")
        return result

    def act(self, action: Action) -> Entry | None:
        """The finished ledger row, done, failed or (somebody else was first) abandoned; None when the action had to be left for a later run.

        Raises:
            CloudRefusedError: the project refuses us altogether.
            UnavailableError: no answer in time; the row stays unfinished and the next run takes it up.
        """
        if not self._settled(action):
            return None
        _LOG.info("%s", action.description)
        entry = self.step("plan", self.ledger.plan, self.cloud.project, self.issue_time, action)
        self.writes += 1
        try:
            operation = self.step("send", self.cloud.send, action, entry.request_id)
        except CloudRefusedError as error:
            return self._refused(entry, error)
        entry = self.step("sent", self.ledger.sent, entry, operation.name)
        return self._finish(entry, operation)

    def reattach(self) -> list[Entry]:
        """Finish what an earlier run left unfinished in this region.

        An operation that exists is waited for. A call that never arrived is left to this run's own diff when it is of this
        issue time (it has the same request id then), and abandoned when it is of another.
        """
        finished = []
        for entry in self.step("unfinished", self.ledger.unfinished, self.region):
            operation = self.step("find", self._find, entry)
            if operation is not None:
                sent = self.step("sent", self.ledger.sent, entry, operation.name)
                finished.append(self._finish(sent, operation))
            elif entry.issue_time != self.issue_time:
                finished.append(self.step("abandon", self.ledger.abandon, entry, "never sent; a later run takes over"))
        return finished

    def abandon_rest(self) -> None:
        """Close the rows that nobody wants any more: their call never arrived and the cloud is as it should be without it."""
        for entry in self.ledger.unfinished(self.region):
            self.step("abandon", self.ledger.abandon, entry, "never sent; what was seen since made it needless")

    def _find(self, entry: Entry) -> Operation | None:
        return self.cloud.find(entry.action, request_id=entry.request_id, operation=entry.operation)

    def _finish(self, entry: Entry, operation: Operation) -> Entry:
        finished = self.step("wait", self.cloud.wait, operation)
        try:
            finished.check()
        except CloudRefusedError as error:
            return self._refused(entry, error)
        return self.step("done", self.ledger.done, entry)

    def _refused(self, entry: Entry, error: CloudRefusedError) -> Entry:
        if entry.action.verb == "create" and is_there_already(error.code):
            _LOG.info("somebody else did: %s", entry.action.description)
            return self.step("abandon", self.ledger.abandon, entry, "somebody else made it meanwhile; the next look decides")
        _LOG.warning("refused: %s (%s)", entry.action.description, error)
        denied = is_denied(error.code)
        fact = None if denied else self.step("quota", self._fact, entry.action, error)
        failed = self.step("failed", self.ledger.failed, entry, error.code, error.message, fact)
        if denied:
            raise error
        return failed

    def _fact(self, action: Action, error: CloudRefusedError) -> Fact:
        return Fact(
            region=action.region,
            zone=action.zone,
            service=action.service,
            name=action.name,
            resource=action.resource,
            code=error.code,
            message=error.message,
            asked=action.amount,
            got=action.held,
            machine_type=action.machine_type,
            hint=self._fits(action, error),
        )

    def _fits(self, action: Action, error: CloudRefusedError) -> float | None:
        """The total that the remaining quota allows; None when the message names no quota that is counted per machine or GiB."""
        named = _QUOTA.search(error.message)
        quota = self.cloud.quotas(self.region).get(named.group(1)) if named and is_quota(error.code) else None
        if named is None or quota is None:
            return None
        each = self._each(action, named.group(1))
        return None if each is None else action.held + quota.remaining // each

    def _each(self, action: Action, metric: str) -> float | None:
        if metric.endswith("_GB") or metric == "INSTANCES":
            return 1.0
        if not metric.endswith("CPUS") or not action.machine_type:
            return None
        zones = [action.zone] if action.zone else self.cloud.zones(self.region)
        machine = next((found for zone in zones if (found := self.cloud.machine(zone, action.machine_type)) is not None), None)
        return float(machine.vcpus) if machine else None

    def _settled(self, action: Action) -> bool:
        """Whether a release may go ahead: a reservation cannot shrink below the machines that use it.

        Waits while the group lets machines go; when none leaves any more and some are still there, the next look decides anew.
        """
        if action.kind != "reservation" or not action.releases:
            return True
        end = time.monotonic() + self.settle_seconds
        while True:
            there = self.cloud.reservation(action.zone, action.name)
            if there is None or there.in_use <= action.wanted["count"]:
                return True
            name = action.observed.get("group")
            group = self.cloud.group(action.region, name) if name else None
            if group is None or not group.draining or time.monotonic() >= end:
                _LOG.info("%d machines still use it, looking again: %s", there.in_use, action.description)
                return False
            time.sleep(_SETTLE_PAUSE_SECONDS)
