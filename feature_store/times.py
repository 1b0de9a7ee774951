"""Reading times from text, each by itself."""

from __future__ import annotations

from typing import Final

import pandas as pd

__all__ = ["utc_times"]

_HAS_ZONE: Final = r"[Tt ]\d.*(?:[Zz]|[+-]\d\d:?(?:\d\d)?)$"


def utc_times(text: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    """ISO 8601 texts as `datetime64[us, UTC]` on the same index; a time without a zone is UTC, what is no time is NaT.

    pandas reads a time without a zone in the zone of the text before it, so the two kinds are read apart.
    """
    zoned = text.astype("string[pyarrow]").str.contains(_HAS_ZONE, na=False).astype(bool)
    kinds = [text] if zoned.all() or not zoned.any() else [text[zoned], text[~zoned]]
    read = [pd.to_datetime(kind, utc=True, errors="coerce", format="ISO8601").astype("datetime64[us, UTC]") for kind in kinds]
    return pd.concat(read).reindex(text.index)
