"""Great Expectations as the engine: a contract goes in, the rows that break each rule come out."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

__all__ = ["Checked", "check", "load_great_expectations"]

# What the pages do not show and a large window would blow up: every single broken row.
_ROW_LISTS: Final = ("unexpected_list", "unexpected_index_list", "partial_unexpected_index_list", "unexpected_index_query")


@dataclass(frozen=True)
class Checked:
    """What a contract found in a frame.

    Attributes:
        broken: rule -> index labels of the rows that break it; rules of the whole table have an empty index.
        result: Great Expectations' validation result as JSON, without the lists of rows.
    """

    broken: dict[str, pd.Index[Any]]
    result: dict[str, Any]


def load_great_expectations() -> Any:
    """The library, imported on first use (6-13 s), silent and without its usage reports."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it imports a deprecated module of the standard library
        import great_expectations

    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # its import sets INFO
    return great_expectations


def check(suite: Any, frame: pd.DataFrame) -> Checked:
    """Validate `frame` against an expectation suite whose expectations carry their rule in `meta`.

    Raises:
        RuntimeError: when an expectation could not be evaluated, which is a mistake in the contract.
    """
    gx = load_great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas(name=suite.name).add_dataframe_asset(name=suite.name)
    batch = asset.add_batch_definition_whole_dataframe("window").get_batch(batch_parameters={"dataframe": frame})
    validated = batch.validate(suite, result_format={"result_format": "COMPLETE"})
    broken: dict[str, pd.Index[Any]] = {}
    for outcome in validated.results:
        rule = outcome.expectation_config.meta["rule"]
        if problem := _exception(outcome.exception_info):
            raise RuntimeError(f"contract {suite.name}, rule {rule}: {problem}")
        if not outcome.success:
            rows = pd.Index(outcome.result.get("unexpected_index_list") or [])
            broken[rule] = broken[rule].union(rows) if rule in broken else rows
        for key in _ROW_LISTS:
            outcome.result.pop(key, None)
    return Checked(broken, validated.to_json_dict())


def _exception(info: dict[str, Any]) -> str | None:
    """The message of an exception that Great Expectations caught: told directly, or per metric that it computed."""
    told = [info] if "raised_exception" in info else list(info.values())
    return next((str(one["exception_message"]) for one in told if one["raised_exception"]), None)
