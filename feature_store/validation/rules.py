"""Every rule that a measurement must keep: its stable name, what breaking it means, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["RULES", "Rule", "Severity"]


class Severity(StrEnum):
    """What a broken rule does: a critical one sends the row to quarantine, a warning marks it."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: stable; appears in `findings`, in `metrics.warnings` and in `quarantine.rule`.
        severity: what happens to the rows that break it.
        reason: what is wrong with such a row, for a person.
        remedy: what that person can do.
        shows: the column whose value belongs into the message, or None.
    """

    name: str
    severity: Severity
    reason: str
    remedy: str
    shows: str | None = None


def _critical(name: str, reason: str, remedy: str, shows: str | None = None) -> Rule:
    return Rule(name, Severity.CRITICAL, reason, remedy, shows)


def _warning(name: str, reason: str, remedy: str) -> Rule:
    return Rule(name, Severity.WARNING, reason, remedy)


# In order of precedence: a row that breaks several is filed under the first, and its reason names them all.
_ALL: Final = (
    _critical("wrong_columns", "the source's answer lacks a column", "give timestamp, region, service, metric and value"),
    _critical("empty_window", "the source has no row in the window", "check the source, its clock and its delay_minutes"),
    _critical("unreadable_timestamp", "timestamp is not a time", "write ISO 8601 in UTC, for example 2026-07-08T00:05:00Z", "row"),
    _critical("outside_window", "the row is outside the window that was asked for", "let the source answer the window only", "timestamp"),
    _critical("future_row", "the row's step ends after the issue time", "check the clock of the source", "timestamp"),
    _critical("off_step", "timestamp is not a multiple of the source's step", "align the rows or correct step_minutes", "timestamp"),
    _critical("missing_metric", "the row names no metric", "name one of the source's metrics", "metric"),
    _critical("unknown_region", "region is not in capacity.yaml", "add it under regions or correct the source", "region"),
    _critical("unknown_service", "service is not in capacity.yaml", "add it under services or correct the source", "service"),
    _critical("unknown_placement", "the service does not run in that region", "add the region to the service's regions", "placement"),
    _critical("unknown_unit", "the metric's unit does not measure the service's resource", "correct metrics.unit in capacity.yaml", "unit"),
    _critical("not_a_number", "value is not a finite number", "leave the row out where nothing was measured", "value"),
    _critical("negative_value", "value is negative", "check the counter or the query, demand cannot be below zero", "value"),
    _critical("impossible_value", "value is above the metric's maximum", "check the unit, or raise maximum in capacity.yaml", "value"),
    _critical("duplicate_row", "the row repeats an earlier one", "write each measurement once", "timestamp"),
    _critical("conflicting_row", "an earlier row of the same key has another value and was kept", "write each measurement once", "value"),
    _warning("incomplete_hour", "the hour lacks some of its measurements", "check the source for gaps"),
    _warning("missing_hour", "the series has no measurement in the hour", "check the source for gaps, or remove the series"),
    _warning("stale_series", "the newest measurement is too old", "check that the source still measures the series"),
    _warning("impossible_jump", "the value changed far more in one step than it usually does", "compare with the source"),
    _warning("stuck_value", "the value has not changed for many steps although it usually does", "check the collector"),
)
RULES: Final = {rule.name: rule for rule in _ALL}
