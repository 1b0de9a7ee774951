"""The judgement of a window: which rows are refused and why, which are good, and what is odd about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from feature_store.validation.contracts import RAW_COLUMNS, hour_contract, key_contract, row_contract, schema_contract, series_contract
from feature_store.validation.engine import Checked, check
from feature_store.validation.row_facts import key_facts, row_facts
from feature_store.validation.rules import RULES, Severity
from feature_store.validation.series_facts import hour_facts, series_facts
from feature_store.validation.window import Window

__all__ = ["RowVerdict", "SeriesVerdict", "judge_rows", "judge_series"]


# Series that a report names per finding; the findings count them all.
_TOLD: Final = 10


@dataclass(frozen=True)
class RowVerdict:
    """The critical half.

    Attributes:
        good: the sound rows, unique per key, with `number`, the value as a float in the source's unit.
        refused: the other rows, with `rule` (the first broken one) and `reason` (all of them).
        findings: rule -> rows that break it.
        results: one Great Expectations result per contract.
    """

    good: pd.DataFrame
    refused: pd.DataFrame
    findings: dict[str, int]
    results: list[dict[str, Any]]


@dataclass(frozen=True)
class SeriesVerdict:
    """The warning half.

    Attributes:
        warnings: comma-separated names of the warnings on each row, "" for none, on the index of the rows.
        findings: rule -> rows, or hours for `missing_hour`, or series for `stale_series`.
        remarks: sentences that name the series with missing hours and the stale ones.
        results: one Great Expectations result per contract.
    """

    warnings: pd.Series[str]
    findings: dict[str, int]
    remarks: list[str]
    results: list[dict[str, Any]]


def judge_rows(raw: pd.DataFrame, window: Window) -> RowVerdict:
    """Split `raw` (columns of a raw metric frame, unique index) into good and refused rows.

    A frame without a needed column or without rows has a finding and neither good nor refused rows.
    """
    schema = check(schema_contract(window), raw)
    if schema.broken:
        nothing = row_facts(raw.reindex(columns=RAW_COLUMNS).iloc[:0].astype({"timestamp": "datetime64[us, UTC]"}), window)
        return RowVerdict(nothing, _reasons(nothing, {}), dict.fromkeys(schema.broken, 0), [schema.result])
    facts = row_facts(raw, window)
    rows = check(row_contract(window), facts)
    sound = facts.drop(index=_union(rows))
    keys = check(key_contract(window), key_facts(sound))
    broken = _in_order(rows.broken | keys.broken)
    return RowVerdict(
        good=sound.drop(index=_union(keys)),
        refused=_reasons(facts, broken),
        findings={rule: len(labels) for rule, labels in broken.items()},
        results=[schema.result, rows.result, keys.result],
    )


def judge_series(measured: pd.DataFrame, history: pd.DataFrame, window: Window) -> SeriesVerdict:
    """Warnings about good rows.

    Args:
        measured: `unique_id, ds, y` in canonical units, unique index.
        history: `unique_id, ds, y` of the time before the window.
        window: what was asked for.
    """
    series = check(series_contract(window), series_facts(measured, history, window))
    if doubled := len(series.broken.get("duplicate_row", [])):
        raise RuntimeError(f"{window}: {doubled} rows of one series and time passed the key contract")
    facts = hour_facts(measured, history, window)
    hours = check(hour_contract(window), facts)
    broken = _in_order(series.broken)
    marks = pd.Series("", index=measured.index)
    for rule, labels in broken.items():
        marks.loc[labels] = marks.loc[labels].where(marks.loc[labels] == "", marks.loc[labels] + ",") + rule
    lacking = _in_order(hours.broken)
    findings = {rule: len(labels) for rule, labels in (broken | lacking).items()}
    return SeriesVerdict(marks, findings, _remarks(facts, lacking), [series.result, hours.result])


def _in_order(broken: dict[str, pd.Index[Any]]) -> dict[str, pd.Index[Any]]:
    return {rule: broken[rule] for rule in RULES if rule in broken}


def _union(checked: Checked) -> pd.Index[Any]:
    labels = [index for rule, index in checked.broken.items() if RULES[rule].severity is Severity.CRITICAL]
    return pd.Index(pd.concat([pd.Series(index) for index in labels]).unique()) if labels else pd.Index([])


def _reasons(facts: pd.DataFrame, broken: dict[str, pd.Index[Any]]) -> pd.DataFrame:
    rule = pd.Series("", index=facts.index, dtype="object")
    reason = rule.copy()
    for name, labels in broken.items():
        told = _told(facts.loc[labels], name)
        before = reason.loc[labels]
        reason.loc[labels] = before.where(before == "", before + "; ") + told
        rule.loc[labels] = rule.loc[labels].where(rule.loc[labels] != "", name)
    return facts.assign(rule=rule, reason=reason)[rule != ""]


def _told(rows: pd.DataFrame, name: str) -> pd.Series[str]:
    rule = RULES[name]
    shown = ": " + rows[rule.shows].astype("str") if rule.shows else pd.Series("", index=rows.index)
    return rule.reason + shown + " (" + rule.remedy + ")"


def _remarks(facts: pd.DataFrame, broken: dict[str, pd.Index[Any]]) -> list[str]:
    remarks: list[str] = []
    if "missing_hour" in broken:
        hours = facts.loc[broken["missing_hour"]].groupby("unique_id")["hour"].agg(["size", "min", "max"])
        remarks += _first([f"{row.Index}: {row.size} hours without a row, {row.min} .. {row.max}" for row in hours.itertuples()])
    if "stale_series" in broken:
        stale = facts.loc[broken["stale_series"]]
        remarks += _first([f"{row.unique_id}: silent for {row.silent_minutes:.0f} minutes" for row in stale.itertuples()])
    return remarks


def _first(remarks: list[str]) -> list[str]:
    more = len(remarks) - _TOLD
    return [*remarks[:_TOLD], f"and {more} more series like this"] if more > 0 else remarks
