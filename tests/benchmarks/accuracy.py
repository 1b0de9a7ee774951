"""Measures 1 and 2: ours beside its peers on the same windows of the recordings and of the M4 competition's hourly part."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from models.accuracy import FINAL, accuracy, row_facts
from models.engine import backtest_frame
from tests.benchmarks.hindsight import SERIES, SINGLE, WINDOWS, with_hindsight
from tests.benchmarks.meter import Meter
from tests.benchmarks.peers import AUTOGLUON, FLAIR, Peer, in_order
from tests.benchmarks.recordings import DEVELOPED_ON, M4, Recording, as_forecasts, cases_of, read_recording

# Two ways of giving a seasonal naive quantiles: its own errors in the past at the same lag (ours), or a normal distribution (statsforecast's).
NAIVES = {"errors": ("seasonal-naive-24", "seasonal-naive-168"), "normal": ("naive-24, normal", "naive-168, normal")}
MEAN = "geometric mean"


@dataclass(frozen=True)
class Accuracy:
    """What was measured.

    Attributes:
        measures: one row per recording and candidate: `WQL, MASE, covers 80, covers 98, rows, CPU s`.
        parts: those of our own candidates.
        bounds: `recording, candidate, WQL, MASE`, see `tests.benchmarks.hindsight.with_hindsight`.
    """

    measures: pd.DataFrame
    parts: pd.DataFrame
    bounds: pd.DataFrame

    def of(self, measure: str) -> pd.DataFrame:
        """Recordings by candidates."""
        wide = self.measures.pivot(index="recording", columns="candidate", values=measure)
        return wide.reindex(index=list(dict.fromkeys(self.measures["recording"])), columns=list(dict.fromkeys(self.measures["candidate"])))


def run_accuracy(folder: Path, output: Path, peers: dict[str, Peer], names: list[str], *, reuse: bool, kept: bool = False) -> Accuracy:
    """Forecast, keep the forecasts of every peer in `output`/peers, and measure.

    Args:
        reuse: take the forecasts, and their CPU time, that an earlier run has kept; ours are always made anew.
        kept: take only those; a peer that was not run on a recording is left out there.
    """
    recordings = {name: read_recording(folder, name) for name in names}
    frames = {name: [ours(recording, output)] for name, recording in recordings.items()}
    for peer, forecast in peers.items():
        for name in in_order(peer, names):
            if kept and not all(path.exists() for path in _files(peer, recordings[name], output / "peers")):
                continue
            frames[name].append(_of_peer(peer, forecast, recordings[name], output / "peers", reuse=reuse or kept))
    judged = [_judge(recordings[name], parts) for name, parts in frames.items()]
    bounds = [
        _long(name, with_hindsight(parts[0][0], recordings[name]).rename(columns={"wql": "WQL", "mase": "MASE"}))
        for name, parts in frames.items()
    ]
    return Accuracy(*(pd.concat(tables, ignore_index=True) for tables in (*zip(*judged, strict=True), bounds)))


def ours(recording: Recording, output: Path) -> tuple[pd.DataFrame, dict[str, float]]:
    """The engine's forecasts, its candidates' among them, and CPU seconds by candidate."""
    with Meter() as meter:
        result = backtest_frame(recording.series, horizon=recording.horizon, windows=recording.windows, events=recording.events)
    _say(recording.name, FINAL, meter.usage.cpu_seconds)
    (output / "ours").mkdir(parents=True, exist_ok=True)
    result.forecasts.to_parquet(output / "ours" / f"{recording.name}.parquet", index=False)
    return result.forecasts, {**result.seconds, FINAL: meter.usage.cpu_seconds}


def _of_peer(name: str, peer: Peer, recording: Recording, folder: Path, *, reuse: bool) -> tuple[pd.DataFrame, dict[str, float]]:
    rows, cost = _files(name, recording, folder)
    if not (reuse and rows.exists() and cost.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        cases = cases_of(recording)
        with Meter() as meter:
            quantiles = peer(recording, cases)
        as_forecasts(recording, cases, quantiles, name).to_parquet(rows, index=False)
        cost.write_text(json.dumps(asdict(meter.usage)) + "\n")
    seconds = float(json.loads(cost.read_text())["cpu_seconds"])
    _say(recording.name, name, seconds)
    return pd.read_parquet(rows), {name: seconds}


def _files(name: str, recording: Recording, folder: Path) -> tuple[Path, Path]:
    """Where a peer's forecasts and cost are kept."""
    stem = f"{recording.name}-{name.replace(', ', '-')}"
    return folder / f"{stem}.parquet", folder / f"{stem}.json"


def _judge(recording: Recording, frames: list[tuple[pd.DataFrame, dict[str, float]]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    seconds = {name: spent for _, by_name in frames for name, spent in by_name.items()}
    facts = row_facts(pd.concat([rows for rows, _ in frames], ignore_index=True), recording.series)
    found = accuracy(facts, ["candidate"])
    found.index = found.index.astype(str)
    columns = {"wql": "WQL", "mase": "MASE", "coverage_0.8": "covers 80", "coverage_0.98": "covers 98", "rows": "rows"}
    table = found[list(columns)].rename(columns=columns)
    table["CPU s"] = pd.Series(seconds)
    peers = [name for _, by_name in frames[1:] for name in by_name]
    compared = [FINAL, *NAIVES["errors"], *peers]
    parts = [name for name in table.index if name not in peers]
    return _long(recording.name, table.loc[compared]), _long(recording.name, table.loc[parts])


def _long(recording: str, table: pd.DataFrame) -> pd.DataFrame:
    return table.rename_axis("candidate").reset_index().assign(recording=recording)


def wql_table(found: Accuracy) -> pd.DataFrame:
    return found.of("WQL").round(4).rename_axis(None).reset_index(names="recording")


def ratio_table(found: Accuracy) -> pd.DataFrame:
    """Ours over the better naive (both definitions), over every peer, and the geometric mean over the recordings of measure 1."""
    wql = found.of("WQL")
    table = pd.DataFrame({f"better naive ({kind})": wql[FINAL] / _better(wql, kind) for kind in NAIVES})
    rest = [name for name in wql.columns if name not in {FINAL, *NAIVES["errors"], *NAIVES["normal"]}]
    table = table.join(wql[rest].rdiv(wql[FINAL], axis=0))
    return _with_mean(table).round(3).reset_index(names="ours over")


def field_table(found: Accuracy) -> pd.DataFrame:
    """Geometric means over the recordings of measure 1 of WQL / better naive, ours and every peer's; only who has them all."""
    wql = found.of("WQL").reindex(list(DEVELOPED_ON))
    means = {f"WQL / better naive ({kind})": np.exp(np.log(wql.div(_better(wql, kind), axis=0)).mean(skipna=False)) for kind in NAIVES}
    seconds = found.of("CPU s").reindex(list(DEVELOPED_ON)).sum(skipna=False)
    table = pd.DataFrame(means).assign(**{"CPU s": seconds}).dropna(subset=list(means)).sort_values(next(iter(means)))
    return table.round({**dict.fromkeys(means, 3), "CPU s": 0}).reset_index(names="forecaster")


def measure_table(found: Accuracy, measure: str, *, percent: bool = False) -> pd.DataFrame:
    table = found.of(measure)
    table = (100 * table).round(1) if percent else table.round(3 if measure == "MASE" else 1)
    return table.rename_axis(None).reset_index(names="recording")


def parts_table(found: Accuracy) -> pd.DataFrame:
    """WQL of what our forecast is made of."""
    wide = found.parts.pivot(index="recording", columns="candidate", values="WQL").reindex(list(dict.fromkeys(found.parts["recording"])))
    ordered = [FINAL, *(name for name in wide.columns if name != FINAL)]
    return wide[ordered].round(4).rename_axis(None).rename_axis(None, axis=1).reset_index(names="recording")


def bounds_table(found: Accuracy) -> pd.DataFrame:
    """WQL over the better naive's (errors) and MASE, ours beside what hindsight makes of the same candidates."""
    better = _better(found.of("WQL"), "errors")
    wide = {
        measure: found.bounds.pivot(index="recording", columns="candidate", values=measure).loc[better.index] for measure in ("WQL", "MASE")
    }
    names = [FINAL, SINGLE, SERIES, WINDOWS]
    ratios = _with_mean(wide["WQL"][names].div(better, axis=0))
    return ratios.join(wide["MASE"][[FINAL, SERIES]].add_prefix("MASE, ")).round(3).rename_axis(None, axis=1).reset_index(names="recording")


def bars(found: Accuracy) -> list[tuple[str, str, float, bool]]:
    """(measure, bar, measured, met) for what this run has."""
    wql, seconds = found.of("WQL"), found.of("CPU s")
    told: list[tuple[str, str, float, bool]] = []
    developed = wql[wql.index.isin(DEVELOPED_ON)]
    if len(developed) == len(DEVELOPED_ON):
        for kind in NAIVES:
            ratio = developed[FINAL] / _better(developed, kind)
            told.append(_bar(f"WQL / better naive ({kind}), geometric mean", 0.62, _mean(ratio)))
            told.append(_bar(f"WQL / better naive ({kind}), worst recording ({ratio.idxmax()})", 1.0, ratio.max()))
        for peer, limit in ((FLAIR, 0.80), (AUTOGLUON, 0.90)):
            if peer in developed and developed[peer].notna().all():
                told.append(_bar(f"WQL / {peer}, geometric mean", limit, _mean(developed[FINAL] / developed[peer])))
    if AUTOGLUON in seconds and len(developed):
        both = seconds.loc[seconds.index.isin(DEVELOPED_ON), [FINAL, AUTOGLUON]].dropna()
        told.append(_bar(f"CPU time / {AUTOGLUON}", 0.1, both[FINAL].sum() / both[AUTOGLUON].sum()))
    if M4 in wql.index:
        told.append(_bar("M4 hourly, CRPS", 0.0235, wql.loc[M4, FINAL]))
        told.append(_bar("M4 hourly, MASE", 0.75, found.of("MASE").loc[M4, FINAL]))
    return told


def draw_accuracy(found: Accuracy, path: Path) -> None:
    """WQL over that of the better naive, recordings beside each other, a dot per forecaster."""
    from matplotlib.figure import Figure

    wql = found.of("WQL")
    ratio = wql.div(_better(wql, "errors"), axis=0)
    shown = [name for name in ratio.columns if name not in NAIVES["errors"]]
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panel = figure.subplots()
    places = np.arange(len(ratio))
    for number, name in enumerate(shown):
        look = {"color": "#1f4e79", "s": 90, "zorder": 3} if name == FINAL else {"s": 36, "marker": "ovs^D<>pP*"[number % 10], "alpha": 0.8}
        panel.scatter(places + 0.05 * (number - len(shown) / 2), ratio[name].clip(upper=2.0), label=name, **look)
    panel.axhline(1, color="#444444", linewidth=0.8)
    panel.set_xticks(places, ratio.index)
    panel.set(ylabel="WQL / better naive (cut off at 2)", ylim=(0, 2.05), title="Lower is better; 1 is the better seasonal naive")
    panel.legend(frameon=False, fontsize=8, ncols=2)
    figure.savefig(path, dpi=90)


def _better(wql: pd.DataFrame, kind: str) -> pd.Series:
    return wql[[name for name in NAIVES[kind] if name in wql]].min(axis=1)


def _with_mean(table: pd.DataFrame) -> pd.DataFrame:
    developed = table.reindex(list(DEVELOPED_ON))
    table.loc[f"{MEAN} without {M4}"] = np.exp(np.log(developed).mean(skipna=False))
    return table


def _mean(ratios: pd.Series) -> float:
    return float(np.exp(np.log(ratios).mean()))


def _bar(what: str, limit: float, measured: float) -> tuple[str, str, float, bool]:
    return what, f"at most {limit:g}", float(measured), bool(measured <= limit)


def _say(recording: str, candidate: str, seconds: float) -> None:
    sys.stderr.write(f"{recording}: {candidate}, {seconds:.0f} s of CPU\n")
