"""Groups of machine types that a service no longer has: they are emptied, and stay as empty groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from infra.ledger import Ledger
from infra.ledger_history import groups_made
from infra.names import group_name
from infra.targets import MachineTarget, Target

__all__ = ["with_former_groups"]


def with_former_groups(targets: Sequence[Target], ledger: Ledger, *, region: str) -> list[Target]:
    """The targets, the first of every service with the groups that the ledger made for further types and that no target has."""
    wanted = {target.group for target in targets if isinstance(target, MachineTarget)}
    left: dict[str, list[str]] = {}
    for name, service, machine_type in sorted(groups_made(ledger, region)):
        if name == group_name(service, machine_type) and name not in wanted:
            left.setdefault(service, []).append(name)
    return [
        replace(target, former=tuple(left.pop(target.service))) if isinstance(target, MachineTarget) and target.service in left else target
        for target in targets
    ]
