"""The leaderboard of a backtest: the final forecast and everything that it is made of, best first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from models.accuracy import accuracy

__all__ = ["LEADERBOARD_COLUMNS", "leaderboard"]

LEADERBOARD_COLUMNS: Final = ("candidate", "relative_wql", "wql", "mase", "coverage_0.8", "coverage_0.98", "served", "seconds")


def leaderboard(facts: pd.DataFrame, seconds: Mapping[str, float]) -> pd.DataFrame:
    """`LEADERBOARD_COLUMNS`, one row per candidate, by `relative_wql`.

    Args:
        facts: see `models.accuracy.row_facts`.
        seconds: candidate -> CPU seconds; NaN where it is not said.

    Returns:
        The measures of `models.accuracy.accuracy`; `relative_wql` compares on the rows that the candidate served, so that one which
        was only run where it promised to win is not judged on other rows than the naive; `served` is the share of all rows.
    """
    table = accuracy(facts, ["candidate"]).reset_index()
    table["candidate"] = table["candidate"].astype(str)
    table["served"] = table["rows"] / facts["place"].nunique()
    table["seconds"] = table["candidate"].map(dict(seconds)).astype(float)
    return table.sort_values(["relative_wql", "wql", "candidate"], kind="stable", ignore_index=True)[list(LEADERBOARD_COLUMNS)]
