"""The contracts, as Great Expectations suites: which column of which frame keeps which rule.

The frames' judged columns (`row_facts`, `series_facts`, `hour_facts`) are empty where a rule has nothing to say, and
Great Expectations skips empty values, so a row is blamed for its first cause only.
"""

from __future__ import annotations

from typing import Any, Final

from feature_store.validation.engine import load_great_expectations
from feature_store.validation.rules import RULES
from feature_store.validation.window import Window

__all__ = [
    "LONGEST_SILENCE_MINUTES",
    "LONGEST_STANDSTILL",
    "hour_contract",
    "key_contract",
    "row_contract",
    "schema_contract",
    "series_contract",
]

# Steps with the very same value, of a series that usually changes at every step.
LONGEST_STANDSTILL: Final = 5
LONGEST_SILENCE_MINUTES: Final = 30
RAW_COLUMNS: Final = ["timestamp", "region", "service", "metric", "value", "row"]


def schema_contract(window: Window) -> Any:
    """The answer of the source as a whole."""
    gxe = _expectations()
    return _suite(
        window,
        "schema",
        gxe.ExpectTableColumnsToMatchSet(column_set=RAW_COLUMNS, exact_match=False, **_rule("wrong_columns")),
        gxe.ExpectTableRowCountToBeBetween(min_value=1, **_rule("empty_window")),
    )


def row_contract(window: Window) -> Any:
    """Every row by itself, on `row_facts`."""
    gxe = _expectations()
    settings = window.settings
    placements = [f"{region}/{name}" for name, service in settings.services.items() for region in service.regions]
    return _suite(
        window,
        "rows",
        gxe.ExpectColumnValuesToNotBeNull(column="timestamp", **_rule("unreadable_timestamp")),
        gxe.ExpectColumnValuesToBeInSet(column="window", value_set=["inside"], **_rule("outside_window")),
        gxe.ExpectColumnValuesToBeBetween(column="minutes_ahead", max_value=0, **_rule("future_row")),
        gxe.ExpectColumnValuesToBeBetween(column="seconds_off_step", min_value=0, max_value=0, **_rule("off_step")),
        gxe.ExpectColumnValuesToBeInSet(column="metric", value_set=list(window.source.metrics), **_rule("missing_metric")),
        gxe.ExpectColumnValuesToBeInSet(column="region", value_set=list(settings.regions), **_rule("unknown_region")),
        gxe.ExpectColumnValuesToBeInSet(column="service", value_set=list(settings.services), **_rule("unknown_service")),
        gxe.ExpectColumnValuesToBeInSet(column="placement", value_set=placements, **_rule("unknown_placement")),
        gxe.ExpectColumnValuesToNotBeNull(column="factor", **_rule("unknown_unit")),
        gxe.ExpectColumnValuesToNotBeNull(column="number", **_rule("not_a_number")),
        gxe.ExpectColumnValuesToBeBetween(column="number", min_value=0, **_rule("negative_value")),
        gxe.ExpectColumnValuesToBeBetween(column="share_of_maximum", max_value=1, **_rule("impossible_value")),
    )


def key_contract(window: Window) -> Any:
    """The rows that are sound by themselves: one per timestamp, region, service and metric."""
    gxe = _expectations()
    return _suite(
        window,
        "keys",
        gxe.ExpectColumnValuesToBeBetween(column="equal_copy", max_value=0, **_rule("duplicate_row")),
        gxe.ExpectColumnValuesToBeBetween(column="other_copy", max_value=0, **_rule("conflicting_row")),
    )


def series_contract(window: Window) -> Any:
    """The good rows in the order of their series, on `series_facts`."""
    gxe = _expectations()
    return _suite(
        window,
        "series",
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["unique_id", "ds"], **_rule("duplicate_row")),
        gxe.ExpectColumnValuesToBeBetween(column="share_of_hour", min_value=1, **_rule("incomplete_hour")),
        gxe.ExpectColumnValuesToBeBetween(column="change_to_allowed", max_value=1, **_rule("impossible_jump")),
        gxe.ExpectColumnValuesToBeBetween(column="standstill", max_value=LONGEST_STANDSTILL, **_rule("stuck_value")),
    )


def hour_contract(window: Window) -> Any:
    """Every hour that every expected series should have, on `hour_facts`."""
    gxe = _expectations()
    return _suite(
        window,
        "hours",
        gxe.ExpectColumnValuesToBeBetween(column="found", min_value=1, **_rule("missing_hour")),
        gxe.ExpectColumnValuesToBeBetween(column="silent_minutes", max_value=LONGEST_SILENCE_MINUTES, **_rule("stale_series")),
    )


def _expectations() -> Any:
    return load_great_expectations().expectations


def _suite(window: Window, name: str, *expectations: Any) -> Any:
    return load_great_expectations().ExpectationSuite(name=f"{window.source.name}-{name}", expectations=list(expectations))


def _rule(name: str) -> dict[str, Any]:
    rule = RULES[name]
    return {
        "severity": rule.severity.value,
        "meta": {"rule": name},
        "description": f"{name} ({rule.severity}): {rule.reason}. Remedy: {rule.remedy}.",
    }
