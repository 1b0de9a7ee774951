"""Google Compute Engine, narrowed to what Headroom uses."""

from infra.cloud.client import Cloud
from infra.cloud.connection import key_credentials
from infra.cloud.operations import Operation
from infra.cloud.owned import Owned
from infra.cloud.states import AttachmentState, DiskState, GroupState, MachineFailure, MachineShape, PoolState, ReservationState

__all__ = [
    "AttachmentState",
    "Cloud",
    "DiskState",
    "GroupState",
    "MachineFailure",
    "MachineShape",
    "Operation",
    "Owned",
    "PoolState",
    "ReservationState",
    "key_credentials",
]
