"""The VMs of the groups: made, booted, suspended, resumed and deleted by the server's clock.

A VM is WAITING until quota and stock have a place for it, then BOOTING, then what it is for: RUNNING, SUSPENDED or STOPPED
(a VM for the standby pool boots once, so it needs a machine while it does). A standby VM that is wanted for running is
RESUMING once there is a place for it. What finds no place is tried again at every later request, so capacity that becomes
free is taken up. A VM that must go is LEAVING, and holds its machine, until the time for that is over.

At most as many VMs of a zone resume at the same time as its stock of `resuming` says. What is suspended for 60 days is
stopped. A spot VM that is preempted is WAITING again.

When a group grows, standby VMs come first in the mode SCALE_OUT_POOL, and the pool is filled again; in the mode MANUAL only
those that the pool's new size leaves over. When it shrinks, VMs without a machine go first, then the youngest.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.local_cloud.books import load_books
from infra.local_cloud.call import Call, Cloud
from infra.local_cloud.capacity import Books, Machines, Shortage, first_shortage, stockout
from infra.local_cloud.store import Row, Store

__all__ = ["Vm", "align", "grant", "mature", "of_group", "preempt", "release"]

_LONGEST_SUSPENSION: Final = 60 * 86400.0
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_WANTING: Final = "(state = 'WAITING' OR (target = 'RUNNING' AND state IN ('SUSPENDED', 'STOPPED')))"
# Which VMs go first when a group shrinks.
_EXPENDABLE: Final = {"WAITING": 0, "SUSPENDED": 1, "STOPPED": 1, "BOOTING": 2, "RESUMING": 2, "RUNNING": 3}


@dataclass(frozen=True)
class Vm:
    """One VM: `target` is what it is for, `failure` why it has no machine (`error.errors` as in an operation)."""

    id: int
    zone: str
    name: str
    machine_type: str
    affinity: str
    target: str
    state: str
    failure: list[dict[str, Any]] | None

    @property
    def stable(self) -> bool:
        return self.state == self.target


def of_group(store: Store, group_id: int) -> list[Vm]:
    """The group's VMs in the order they were made."""
    return _vms(store, "group_id = ? ORDER BY id", (group_id,))


def mature(store: Store, now: float) -> None:
    """VMs whose boot or resume is over become what they are for; what was suspended for too long is stopped."""
    store.db.execute(
        "UPDATE machines SET state = target, ready_at = CASE target WHEN 'SUSPENDED' THEN ready_at + ? END "
        "WHERE state IN ('BOOTING', 'RESUMING') AND ready_at <= ?",
        (_LONGEST_SUSPENSION, now),
    )
    store.db.execute("UPDATE machines SET state = 'STOPPED', ready_at = NULL WHERE state = 'SUSPENDED' AND ready_at <= ?", (now,))
    store.db.execute("DELETE FROM machines WHERE state = 'LEAVING' AND ready_at <= ?", (now,))


def preempt(store: Store, zone: str, count: int) -> list[Vm]:
    """Take up to `count` running spot VMs of a zone away, the youngest first; their groups want them again."""
    mature(store, store.now())
    where = "zone = ? AND affinity = 'spot' AND state = 'RUNNING' ORDER BY id DESC LIMIT ?"
    taken = _vms(store, where, (zone, count))
    _execute(store, "UPDATE machines SET state = 'WAITING', ready_at = NULL WHERE id = ?", taken)
    return taken


def release(store: Store, group_id: int) -> None:
    store.db.execute("DELETE FROM machines WHERE group_id = ?", (group_id,))


def align(call: Call, group: Row, *, zones: Sequence[str], machine_type: str, affinity: str) -> None:
    """Make, wake and delete VMs until there are as many of each sort as the group's targets say, then look for machines."""
    body, present = group.body, of_group(call.store, group.id)
    wanted = {
        "RUNNING": body["targetSize"],
        "SUSPENDED": body["targetSuspendedSize"],
        "STOPPED": body["targetStoppedSize"],
    }
    have = {target: [vm for vm in present if vm.target == target] for target in wanted}
    woken = _woken(have, wanted, pooled=body["standbyPolicy"]["mode"] == "SCALE_OUT_POOL")
    _execute(call.store, "UPDATE machines SET target = 'RUNNING' WHERE id = ?", woken)
    have["RUNNING"] += woken
    for target in ("SUSPENDED", "STOPPED"):
        have[target] = [vm for vm in have[target] if vm not in woken]
    surplus = [vm for target, vms in have.items() for vm in _expendable(vms, len(vms) - wanted[target])]
    _dismiss(call, surplus)
    crowd = Counter(vm.zone for vm in present if vm not in surplus and vm.state != "LEAVING")
    unused = _unused(call, group, machine_type, affinity)
    for target, number in wanted.items():
        for _ in range(number - len(have[target])):
            zone = min(zones, key=lambda name: (target != "RUNNING" or unused[name] <= 0, crowd[name], zones.index(name)))
            crowd[zone] += 1
            unused[zone] -= target == "RUNNING"
            identity = call.store.next_id()
            values = (identity, group.id, zone, _name(body["baseInstanceName"], identity), machine_type, affinity, target)
            call.store.db.execute("INSERT INTO machines VALUES (?, ?, ?, ?, ?, ?, ?, 'WAITING', NULL, NULL)", values)
    grant(call.store, call.cloud, call.now)


def grant(store: Store, cloud: Cloud, now: float) -> None:
    """Give machines to the VMs that want one, oldest first, as far as quota and stock go; the others learn why not."""
    wanting = store.db.execute(
        "SELECT group_id, zone, machine_type, affinity, state, min(id) FROM machines "  # noqa: S608 - constants
        f"WHERE {_WANTING} GROUP BY 1, 2, 3, 4, 5 ORDER BY 6"
    ).fetchall()
    for group_id, zone, machine_type, affinity, state, _ in wanting:
        ids = store.db.execute(
            f"SELECT id FROM machines WHERE group_id = ? AND zone = ? AND machine_type = ? AND affinity = ? AND state = ? AND {_WANTING} "  # noqa: S608
            "ORDER BY id",
            (group_id, zone, machine_type, affinity, state),
        ).fetchall()
        new = state == "WAITING"
        left = [row[0] for row in ids]
        failure: Shortage | None = None
        for place in _zones_to_try(store, group_id, zone) if new else [zone]:
            books = load_books(store, cloud.catalog)
            room = len(left) if new else min(len(left), _resumable(store, books, place))
            fits, shortage = _largest(books, Machines(place, machine_type, affinity, room), cloud, new=new) if room else (0, None)
            shortage = shortage or (stockout(place, "resuming", cloud.project) if room < len(left) else None)
            ready = now + (cloud.timing.boot if new else cloud.timing.resume)
            values = [(place, "BOOTING" if new else "RESUMING", ready, identity) for identity in left[:fits]]
            store.db.executemany("UPDATE machines SET zone = ?, state = ?, ready_at = ?, failure = NULL WHERE id = ?", values)
            left, failure = left[fits:], failure or shortage
        if failure is not None:
            errors = json.dumps(failure.errors())
            store.db.executemany("UPDATE machines SET failure = ? WHERE id = ?", [(errors, identity) for identity in left])


def _largest(books: Books, asked: Machines, cloud: Cloud, *, new: bool) -> tuple[int, Shortage | None]:
    """How many of the asked machines fit (found by halving, for more never fit better), and what stops the next one."""

    def stops(count: int) -> Shortage | None:
        more = Machines(asked.zone, asked.machine_type, asked.affinity, count)
        return first_shortage(books, books.with_machines(more, new=count if new else 0), cloud.project)

    if stops(asked.count) is None:
        return asked.count, None
    low, high = 0, asked.count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if stops(middle) is None else (low, middle)
    return low, stops(high)


def _resumable(store: Store, books: Books, zone: str) -> int:
    """How many more VMs may begin to resume in a zone now."""
    ceiling = books.limits.stock.get((zone, "resuming"))
    (under_way,) = store.db.execute("SELECT count(*) FROM machines WHERE zone = ? AND state = 'RESUMING'", (zone,)).fetchone()
    return sys.maxsize if ceiling is None else max(0, int(ceiling) - int(under_way))


def _zones_to_try(store: Store, group_id: int, zone: str) -> list[str]:
    """A regional group of shape ANY or BALANCED goes to another of its zones when one is out of stock."""
    policy = store.by_id(group_id).body.get("distributionPolicy", {})
    if policy.get("targetShape") not in {"ANY", "BALANCED"}:
        return [zone]
    others = [entry["zone"].rpartition("/")[2] for entry in policy["zones"]]
    return [zone, *(name for name in others if name != zone)]


def _unused(call: Call, group: Row, machine_type: str, affinity: str) -> Counter[str]:
    """Zone -> reserved machines that nobody uses: the shape ANY goes there first, every other shape does not look."""
    free: Counter[str] = Counter()
    if group.body.get("distributionPolicy", {}).get("targetShape") == "ANY" and affinity == "any":
        books = load_books(call.store, call.cloud.catalog)
        in_use = books.in_use()
        for held in books.held:
            if held.machine_type == machine_type and not held.required:
                free[held.zone] += held.count - in_use[held.path]
    return free


def _woken(have: dict[str, list[Vm]], wanted: dict[str, int], *, pooled: bool) -> list[Vm]:
    """The standby VMs that a growing group takes, ready ones first."""
    missing = wanted["RUNNING"] - len(have["RUNNING"])
    found: list[Vm] = []
    for target in ("SUSPENDED", "STOPPED"):
        ready = [vm for vm in have[target] if vm.state in ("SUSPENDED", "STOPPED")]
        spare = len(ready) if pooled else len(have[target]) - wanted[target]
        found += ready[: max(0, min(spare, missing - len(found)))]
    return found


def _expendable(vms: list[Vm], number: int) -> list[Vm]:
    return sorted(vms, key=lambda vm: (_EXPENDABLE[vm.state], -vm.id))[: max(0, number)]


def _dismiss(call: Call, surplus: Sequence[Vm]) -> None:
    """VMs on a machine take the time that leaving takes; the others go at once."""
    on_machine = [vm for vm in surplus if vm.state in ("BOOTING", "RESUMING", "RUNNING") and call.cloud.timing.leave > 0]
    values = [(call.now + call.cloud.timing.leave, vm.id) for vm in on_machine]
    call.store.db.executemany("UPDATE machines SET target = 'DELETED', state = 'LEAVING', ready_at = ? WHERE id = ?", values)
    _execute(call.store, "DELETE FROM machines WHERE id = ?", [vm for vm in surplus if vm not in on_machine])


def _vms(store: Store, where: str, values: tuple[Any, ...]) -> list[Vm]:
    columns = "id, zone, name, machine_type, affinity, target, state, failure"
    rows = store.db.execute(f"SELECT {columns} FROM machines WHERE {where}", values)  # noqa: S608 - constants
    return [
        Vm(identity, zone, name, machine_type, affinity, target, state, json.loads(failure) if failure else None)
        for identity, zone, name, machine_type, affinity, target, state, failure in rows
    ]


def _execute(store: Store, statement: str, vms: Iterable[Vm]) -> None:
    store.db.executemany(statement, [(vm.id,) for vm in vms])


def _name(base: str, identity: int) -> str:
    digits, rest = "", identity % 36**4
    for _ in range(4):
        rest, digit = divmod(rest, 36)
        digits = _DIGITS[digit] + digits
    return f"{base}-{digits}"
