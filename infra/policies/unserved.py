"""What a plan leaves to be bought when it is needed, and what it leaves unserved, in machines and in words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from infra.policies.machine_options import Options
from infra.policies.plan_lines import Array

__all__ = ["served_late", "unserved_words"]

_NOISE = 1e-9


def served_late(needed: Array, held: Array, buys: Array) -> tuple[Array, Array]:
    """What of the need is above what is held: the part that is bought when it comes, and the part that nobody serves."""
    missing: Array = np.clip(needed - held, 0.0, None)
    cold: Array = np.minimum(missing, buys).round(6)
    unmet: Array = (missing - cold).round(6)
    return cold, unmet


def unserved_words(options: Options, unmet: Array, because: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """(M, hours) for example "; 33 n2-standard-8 left unserved at the planned quantile: N2_CPUS of us-central1 binds"; empty where nothing is.

    Args:
        because: (M, hours) the reason, `infra.policies.limit_words.unserved_because`.
    """
    names = np.array([name if machine else "Gbit/s" for name, machine in zip(options.name, options.machines, strict=True)], dtype=object)
    amount = np.char.mod("%g", unmet).astype(object)
    text = "; " + amount + " " + names[:, None] + " left unserved at the planned quantile: " + because
    result: npt.NDArray[np.object_] = np.where(unmet > _NOISE, text, "")
    return result
