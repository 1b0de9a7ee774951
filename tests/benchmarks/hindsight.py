"""What bounds accuracy: the best that can be made of the same candidates by who knows the tested hours already.

Weights are found and applied as those of a forecast are, greedily in tenths and trimmed, so the very best weights may do a little better.
"""

from __future__ import annotations

import pandas as pd

from models.accuracy import FINAL, accuracy, regret, row_facts
from models.ensemble import blend, ensemble_weights
from tests.benchmarks.recordings import Recording

SINGLE, SERIES, WINDOWS = "best one per series", "weights per series", "weights per series and window"
# A shrinkage so small that weights are those of a series' own rows alone.
_ALONE = 1e-9


def with_hindsight(ours: pd.DataFrame, recording: Recording) -> pd.DataFrame:
    """WQL and MASE of `SINGLE`, `SERIES` and `WINDOWS`: candidates of `ours` (rows of a backtest) chosen and weighed on the rows that test them.

    Returns:
        Indexed by those three and `FINAL`; columns `wql`, `mase`.
    """
    parts = ours[ours["candidate"] != FINAL]
    final = ours[ours["candidate"] == FINAL]
    by_window = parts["unique_id"].astype(str) + " " + parts["cutoff"].astype(str)
    weighed = [(SERIES, parts), (WINDOWS, parts.assign(series=parts["unique_id"], unique_id=by_window))]
    mixed = [_weighed(rows).assign(candidate=name) for name, rows in weighed]
    facts = row_facts(pd.concat([ours, *mixed], ignore_index=True), recording.series)
    chosen = regret(facts[~facts["candidate"].isin([SERIES, WINDOWS])])["oracle"]
    best = parts[parts["candidate"] == parts["unique_id"].map(chosen)].assign(candidate=SINGLE)
    naives = parts[parts["candidate"].str.startswith("seasonal-naive")]
    found = accuracy(row_facts(pd.concat([final, naives, best, *mixed], ignore_index=True), recording.series), ["candidate"])
    found.index = found.index.astype(str)
    return found.loc[[FINAL, SINGLE, SERIES, WINDOWS], ["wql", "mase"]]


def _weighed(parts: pd.DataFrame) -> pd.DataFrame:
    """The rows of `parts` (`unique_id` is what shares weights) combined by the weights that their own measurements ask for."""
    told = parts[parts["y"].notna()]
    alone = dict.fromkeys(told["unique_id"].unique(), _ALONE)
    mixed = blend(parts, ensemble_weights(told, alone))
    return mixed.assign(unique_id=mixed["series"]).drop(columns="series") if "series" in mixed else mixed
