"""Data contracts: rules as Great Expectations suites, and the judgement of a window of measurements."""

from __future__ import annotations

from feature_store.validation.judge import RowVerdict, SeriesVerdict, judge_rows, judge_series
from feature_store.validation.row_facts import wanted_rows
from feature_store.validation.rules import RULES, Rule, Severity
from feature_store.validation.series_facts import HISTORY
from feature_store.validation.window import Window, wanted_metrics

__all__ = [
    "HISTORY",
    "RULES",
    "RowVerdict",
    "Rule",
    "SeriesVerdict",
    "Severity",
    "Window",
    "judge_rows",
    "judge_series",
    "wanted_metrics",
    "wanted_rows",
]
