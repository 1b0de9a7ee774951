"""The quarantine: refused rows, each with the rule it broke and the reason, as they came."""

from __future__ import annotations

from typing import Final

import pandas as pd

from headroom.lake import Lake

__all__ = ["store_refused"]

_MICROSECOND: Final = pd.Timedelta("1us")
_ORIGINAL: Final = ["timestamp", "region", "service", "metric", "value"]
_KEY: Final = ["row", "rule"]


def store_refused(
    lake: Lake, refused: pd.DataFrame, *, source: str, start: pd.Timestamp, end: pd.Timestamp, issue_time: pd.Timestamp
) -> int:
    """Make `refused` the quarantine of one source and window; writes nothing when it already is.

    A row that an earlier reading of the window refused under the same rule keeps the time at which that became known.

    Args:
        lake: where to.
        refused: columns of a raw metric frame, and `rule` and `reason`.
        source: name of the source.
        start, end: the window that was read.
        issue_time: when the rows were refused.

    Returns:
        Number of rows in quarantine for the window.
    """
    rows = _quarantined(refused).assign(source=source, window_start=start, window_end=end)
    where: dict[str, str | pd.Timestamp] = {"source": source, "window_start": start, "window_end": end}
    held = lake.versions("quarantine", start=start, end=start + _MICROSECOND, where=where)
    known = rows[_KEY].merge(held[[*_KEY, "available_at"]], on=_KEY, how="left")["available_at"]
    known.index = rows.index
    rows["available_at"] = known.fillna(issue_time)
    if set(zip(held["row"], held["rule"], strict=True)) != set(zip(rows["row"], rows["rule"], strict=True)):
        lake.replace("quarantine", rows, start=start, end=start + _MICROSECOND, where=where)
    return len(rows)


def _quarantined(refused: pd.DataFrame) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "region": _text(refused["region"]),
            "service": _text(refused["service"]),
            "metric": _text(refused["metric"]),
            "ds": refused["timestamp"],
            "value": _text(refused["value"]),
            "rule": refused["rule"],
            "reason": refused["reason"],
            "row": _as_json(refused),
        }
    )
    copy = rows.groupby(_KEY, sort=False).cumcount()
    rows["row"] = rows["row"].where(copy == 0, rows["row"] + " #" + (copy + 1).astype("str"))
    return rows


def _text(column: pd.Series[str]) -> pd.Series[str]:
    """What the column holds, as text; empty where it holds nothing."""
    plain = column.astype("object")
    given = plain.notna() & (plain != "")
    text: pd.Series[str] = plain.astype("str").where(given)
    return text


def _as_json(refused: pd.DataFrame) -> pd.Series[str]:
    """One JSON object per row: what the source said of it under `origin`, and the columns as they were read."""
    if refused.empty:
        return pd.Series([], dtype="object")
    values = refused[_ORIGINAL].assign(value=_text(refused["value"])).to_json(orient="records", lines=True, date_format="iso")
    bodies = pd.Series(values.splitlines(), index=refused.index)
    told: pd.Series[str] = '{"origin":' + refused["row"].astype("object") + "," + bodies.str.slice(1)
    return told
