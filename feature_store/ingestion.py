"""Ingestion of measurements: read a window, judge it, quarantine what is wrong, publish the rest in canonical units."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from feature_store.event_ingestion import CalendarReport, EventReport, ingest_events
from feature_store.quarantine import store_refused
from feature_store.sources import Credentials, open_source
from feature_store.validation import HISTORY, RowVerdict, Window, judge_rows, judge_series, wanted_metrics, wanted_rows
from feature_store.validation_results import save_results
from feature_store.versions import changed_rows, later_than_held
from headroom.errors import BadInputError
from headroom.issue_time import as_utc
from headroom.lake import Lake
from headroom.settings import Settings

__all__ = ["CalendarReport", "EventReport", "IngestReport", "ingest_events", "ingest_metrics"]

_log = logging.getLogger(__name__)
_KEY = ("unique_id", "ds")


@dataclass(frozen=True)
class IngestReport:
    """What one ingestion of one window did.

    Attributes:
        source: name of the source.
        window_start, window_end: ISO 8601.
        read: rows that the source gave.
        not_wanted: rows of metrics that no service demands; they are left out, not quarantined.
        published: good rows of the window, in the lake now.
        added: how many of them are new or differ from what the lake held.
        quarantined: refused rows.
        warned: published rows with at least one warning.
        findings: rule -> rows that break it (`missing_hour`: hours, `stale_series`: series).
        remarks: what the source and the judgement noticed, in words.
        digest: sha256 of the published series, times and values, in no particular order.
    """

    source: str
    window_start: str
    window_end: str
    read: int
    not_wanted: int
    published: int
    added: int
    quarantined: int
    warned: int
    findings: dict[str, int]
    remarks: list[str]
    digest: str


def ingest_metrics(
    settings: Settings,
    lake: Lake,
    base: Path,
    work: Path | None,
    *,
    source: str,
    start: pd.Timestamp,
    end: pd.Timestamp,
    issue_time: pd.Timestamp,
    credentials: Credentials | None = None,
) -> IngestReport:
    """Bring the rows of `[start, end)` of one source into the lake.

    Rows that break a critical rule go to the quarantine and the others go on. Doing it again changes nothing: unchanged
    rows stay as they are, rows that the source has corrected since become later versions. The first reading of a
    region's hour counts as published on time, at the end of each step plus the source's delay; whatever comes to that
    hour afterwards is available from `issue_time` on. A row that the source no longer gives stays.

    Args:
        base: folder of capacity.yaml.
        work: folder for the validation results that `write_data_docs` reads; None is a quick look, which keeps neither results nor what it
            refuses: whoever reads the whole hour does.
        source: name of one of `settings.metrics`.
        start, end: half-open window, UTC.
        issue_time: when the source is read; rows after it are refused.
        credentials: for a server that asks for them.

    Raises:
        SettingsError: no such source.
        BadInputError: the source is wrong, or it is required and the window holds nothing good (after
            the quarantine has been written), with the counts per rule.
        UnavailableError: the source does not answer.
    """
    window = _window(settings, source, start, end, issue_time)
    judged = _judged(lake, base, work, window, credentials)
    good = judged.good
    report = IngestReport(
        source=source,
        window_start=window.start.isoformat(),
        window_end=window.end.isoformat(),
        read=judged.read,
        not_wanted=judged.not_wanted,
        published=len(good),
        added=_publish(lake, good, window),
        quarantined=judged.quarantined,
        warned=int((good["warnings"] != "").sum()),
        findings=judged.findings,
        remarks=judged.remarks,
        digest=_digest(good),
    )
    _tell(window, report)
    return report


def _window(settings: Settings, source: str, start: pd.Timestamp, end: pd.Timestamp, issue_time: pd.Timestamp) -> Window:
    window = Window(settings, settings.metric_source(source), as_utc(start, "start"), as_utc(end, "end"), as_utc(issue_time, "issue time"))
    if window.start >= window.end:
        raise BadInputError(f"{window}: the window ends before it starts; swap start and end")
    return window


@dataclass(frozen=True)
class _Judged:
    """What was read and found in a window; `good` has the rows to publish, with their `warnings`."""

    read: int
    not_wanted: int
    quarantined: int
    good: pd.DataFrame
    findings: dict[str, int]
    remarks: list[str]


def _judged(lake: Lake, base: Path, work: Path | None, window: Window, credentials: Credentials | None) -> _Judged:
    """The window read and judged, its refused rows in the quarantine and its results in `work`; raises what `ingest_metrics` raises."""
    raw, wanted = _read(window, base, credentials)
    rows = judge_rows(wanted, window)
    quarantined = len(rows.refused)
    if work is not None:
        name = window.source.name
        quarantined = store_refused(lake, rows.refused, source=name, start=window.start, end=window.end, issue_time=window.issue_time)
    measured = _measured(rows.good, window)
    remarks = list(raw.attrs.get("remarks", []))
    if measured.empty:
        _save(work, window, rows.results)
        remarks.append(_why_nothing_is_good(window, rows, read=len(raw), wanted=len(wanted)))
    series = judge_series(measured, _before(lake, window), window)
    _save(work, window, rows.results + series.results)
    return _Judged(
        read=len(raw),
        not_wanted=len(raw) - len(wanted),
        quarantined=quarantined,
        good=measured.assign(warnings=series.warnings),
        findings=rows.findings | series.findings,
        remarks=remarks + series.remarks,
    )


def _read(window: Window, base: Path, credentials: Credentials | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(all rows of the source in the window, those that are wanted of it)."""
    raw = open_source(window.source, base, credentials=credentials).rows(window.start, window.end)
    wanted = raw[wanted_rows(raw, window)] if {"metric", "service"} <= set(raw.columns) else raw
    return raw, wanted.reset_index(drop=True)


def _save(work: Path | None, window: Window, results: Sequence[dict[str, Any]]) -> None:
    if work is not None:
        save_results(work, window, results)


def _before(lake: Lake, window: Window) -> pd.DataFrame:
    """What the source's rows of the window are compared with."""
    same = {"source": window.source.name}
    return lake.read("metrics", start=window.start - HISTORY, end=window.start, where=same, as_of=window.issue_time)


def _why_nothing_is_good(window: Window, rows: RowVerdict, *, read: int, wanted: int) -> str:
    """Why there is nothing to publish; raises it when the source is required or its answer has the wrong form."""
    if "wrong_columns" in rows.findings:
        raise BadInputError(f"{window}: the answer lacks a column; a row has timestamp, region, service, metric, value and row")
    if wanted:
        counts = ", ".join(f"{rule} {count}" for rule, count in rows.findings.items())
        why = f"none of {wanted} rows is good ({counts})"
        remedy = "read their reasons in the quarantine table, mend the source and run again"
    else:
        why = f"no rows; {f'{read} rows of metrics that no service demands' if read else 'the window is empty'}"
        remedy = "check the source, its clock and its delay_minutes, or set required: false"
    if window.source.required:
        raise BadInputError(f"{window}: {why}; {remedy}")
    return why


def _tell(window: Window, report: IngestReport) -> None:
    for remark in report.remarks:
        _log.info("%s: %s", window, remark)
    _log.log(
        logging.WARNING if report.findings else logging.INFO,
        "%s: %s published (%s added), %s quarantined, findings %s",
        window,
        report.published,
        report.added,
        report.quarantined,
        report.findings,
    )


def _measured(good: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Good rows as measurements of the resources that their metric feeds, in canonical units, without `warnings`."""
    demanded = wanted_metrics(window.settings, window.source)
    rows = good[["timestamp", "region", "service", "metric", "number"]].merge(demanded, on=["service", "metric"], how="inner")
    return pd.DataFrame(
        {
            "unique_id": rows["region"] + "/" + rows["service"] + "/" + rows["resource"],
            "region": rows["region"],
            "service": rows["service"],
            "resource": rows["resource"],
            "ds": rows["timestamp"],
            "y": rows["number"] * rows["factor"],
            "available_at": rows["timestamp"] + window.step + window.delay,
            "source": window.source.name,
        }
    )


def _publish(lake: Lake, measured: pd.DataFrame, window: Window) -> int:
    """Add the new and the changed rows as versions; returns how many."""

    def choose(held: pd.DataFrame) -> pd.DataFrame:
        fresh = measured[changed_rows(measured, held, key=_KEY, compared=("y",))]
        hours = set(held["region"] + held["ds"].dt.floor("h").astype("str"))
        late = (fresh["region"] + fresh["ds"].dt.floor("h").astype("str")).isin(hours)
        on_time = fresh["available_at"]
        available_at = on_time.where(~late | (on_time > window.issue_time), window.issue_time)
        return fresh.assign(available_at=later_than_held(available_at, fresh, held, key=_KEY))

    return lake.add("metrics", choose, start=window.start, end=window.end, where={"source": window.source.name})


def _digest(measured: pd.DataFrame) -> str:
    ordered = measured.sort_values(list(_KEY))[[*_KEY, "y"]]
    text = ordered.to_csv(index=False, header=False, date_format="%Y-%m-%dT%H:%M:%SZ", float_format="%.17g")
    return hashlib.sha256(text.encode()).hexdigest()
