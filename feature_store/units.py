"""Conversion from the units that sources speak to the canonical unit of each resource (`headroom.vocabulary.UNITS`).

Names follow UCUM as Google Cloud Monitoring writes it (`By`, `kBy`, `GiBy`, `By/s`, `1/s`) and the spellings that
people use (`GiB`, `Gbit/s`, `Gbps`). A prefix without `i` is a power of 1000, one with `i` a power of 1024.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import UNITS

__all__ = ["conversion_factor", "known_units", "to_canonical"]

_PREFIXES: Final = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
_BITS_PER_BYTE: Final = 8
_GIBIBYTE: Final = 1024**3
_GIGABIT: Final = 1000**3

_BYTES: Final = {f"{prefix}{unit}": size / _GIBIBYTE for prefix, size in _PREFIXES.items() for unit in ("B", "By")}
_BANDWIDTH: Final = (
    {f"{prefix}bit/s": size / _GIGABIT for prefix, size in _PREFIXES.items()}
    | {f"{prefix}bps": size / _GIGABIT for prefix, size in _PREFIXES.items()}
    | {f"{prefix}{unit}/s": size * _BITS_PER_BYTE / _GIGABIT for prefix, size in _PREFIXES.items() for unit in ("B", "By")}
)
_FACTORS: Final[dict[str, dict[str, float]]] = {
    "cpu": {"vCPU": 1, "mCPU": 1e-3, "core": 1, "millicore": 1e-3, "s/s": 1, "ms/s": 1e-3},
    "memory": _BYTES,
    "storage": _BYTES,
    "bandwidth": _BANDWIDTH,
    "requests": {"1/s": 1, "1/min": 1 / 60, "1/h": 1 / 3600, "req/s": 1, "req/min": 1 / 60},
    "latency": {"ms": 1, "s": 1000, "us": 1e-3, "ns": 1e-6},
    "errors": {"1": 1, "%": 1e-2},
}


def to_canonical(values: pd.Series[float], unit: str, resource: str) -> pd.Series[float]:
    """`values` in `UNITS[resource]`, as float64 on the same index; empty stays empty.

    Raises:
        BadInputError: when `unit` does not measure `resource`.
    """
    return values.astype("float64") * conversion_factor(unit, resource)


def conversion_factor(unit: str, resource: str) -> float:
    """What one `unit` is in `UNITS[resource]`: `conversion_factor("By/s", "bandwidth") == 8e-9`.

    Raises:
        BadInputError: when `unit` does not measure `resource`, naming the units that do.
    """
    allowed = known_units(resource)
    if unit not in allowed:
        close = [known for known in allowed if known.casefold() == unit.casefold()] or get_close_matches(unit, allowed, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise BadInputError(f"unit {unit!r} does not measure {resource} (canonical {UNITS[resource]}){hint} Allowed: {', '.join(allowed)}")
    return float(_FACTORS[resource][unit])


def known_units(resource: str) -> list[str]:
    """Units that measure `resource`.

    Raises:
        BadInputError: when there is no such resource.
    """
    if resource not in _FACTORS:
        raise BadInputError(f"no resource {resource!r}; known: {', '.join(UNITS)}")
    return list(_FACTORS[resource])
