"""How good the anomaly detector is: the Numenta benchmark's real server and known-cause files, labelled five-minute server traces, and its cost per row.

Run from the repository's root: `python -m tests.benchmarks.anomalies --data DIR --output DIR`. DIR holds `nab/data/<category>/*.csv`, `nab/labels/combined_windows.json` and
`servers_5min_labelled.parquet`. `--published DIR` also scores the results that the benchmark publishes of other detectors (its folder `results`) on the same files.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headroom.schemas import empty_frame
from models.anomalies import find_anomalies
from models.anomaly_detector import THRESHOLD, AnomalyDetector, detect_anomalies
from tests.benchmarks.nab_score import Array, LabelledFile, best_threshold, corpus_score

DEVELOPED_ON = "realKnownCause"
OTHER = "realAWSCloudwatch"
FIVE_MINUTES = pd.Timedelta("5min")
DAY = pd.Timedelta(days=1)
SIGNALS = ["cpu_pct", "net_in_Bps", "net_out_Bps", "connections"]
BASELINE = "z-score of the day before"


@dataclass(frozen=True)
class NabFile:
    """Rows of one file in their order, and the first and last row of each labelled window."""

    name: str
    ds: pd.DatetimeIndex
    y: Array
    windows: list[tuple[int, int]]

    @property
    def category(self) -> str:
        return self.name.split("/")[0]

    def scored(self, scores: Array) -> LabelledFile:
        return LabelledFile(scores, self.windows)


def main(arguments: list[str]) -> None:
    options = _options(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    files = read_nab(options.data / "nab")
    scores = {
        "headroom": {file.name: detector_scores(file) for file in files},
        BASELINE: {file.name: z_scores(file) for file in files},
    }
    others = published(options.published, files) if options.published else {}
    tables = {
        "Numenta benchmark, standard profile": nab_table(files, {**scores, **others}),
        "Numenta benchmark, per file, fixed threshold": file_table(files, scores["headroom"]),
        "Labelled servers, fixed threshold": server_table(pd.read_parquet(options.data / "servers_5min_labelled.parquet")),
        "The same servers by the hour": hourly_table(pd.read_parquet(options.data / "servers_5min_labelled.parquet")),
        "Cost": cost_table(),
    }
    text = "\n\n".join(f"## {title}\n\n{_markdown(table)}" for title, table in tables.items())
    (options.output / "anomalies.md").write_text(text + "\n")
    sys.stdout.write(text + "\n")
    plot(files, scores["headroom"], options.output / "anomalies.png")


def read_nab(folder: Path) -> list[NabFile]:
    """The files of both categories, sorted by name. Some have repeated or displaced times; rows stay as they are."""
    windows = json.loads((folder / "labels" / "combined_windows.json").read_text())
    files = []
    for path in sorted(path for category in (OTHER, DEVELOPED_ON) for path in (folder / "data" / category).glob("*.csv")):
        rows = pd.read_csv(path, parse_dates=["timestamp"])
        name, times = f"{path.parent.name}/{path.name}", pd.DatetimeIndex(rows["timestamp"])
        row_of = {stamp: row for row, stamp in reversed(list(enumerate(times)))}
        bounds = [(row_of[pd.Timestamp(first)], row_of[pd.Timestamp(last)]) for first, last in windows[name]]
        files.append(NabFile(name, times, rows["value"].to_numpy(dtype=float), bounds))
    return files


def detector_scores(file: NabFile) -> Array:
    """What raises an alarm: the score where it is the highest of a day, row by row."""
    detector = AnomalyDetector(1, file.ds.to_series().diff().median())
    return np.array([detector.update(moment, file.y[row : row + 1]).alarm_score[0] for row, moment in enumerate(file.ds)])


def z_scores(file: NabFile) -> Array:
    """The plain way: distance from the mean of the day before in its standard deviations."""
    before = pd.Series(file.y).shift(1).rolling(round(DAY / file.ds.to_series().diff().median()), min_periods=10)
    spread = before.std().clip(lower=1e-3 * np.abs(file.y).mean())
    return ((file.y - before.mean()).abs() / spread).fillna(0.0).to_numpy()


def published(folder: Path, files: list[NabFile]) -> Mapping[str, Mapping[str, Array]]:
    """Scores of every detector whose results for all the files are in `folder`."""
    found = {}
    for detector in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        paths = {file.name: folder / detector / file.category / f"{detector}_{Path(file.name).name}" for file in files}
        if all(path.exists() for path in paths.values()):
            found[f"{detector} (published)"] = {
                name: pd.read_csv(path)["anomaly_score"].to_numpy(dtype=float) for name, path in paths.items()
            }
    return found


def nab_table(files: list[NabFile], scores: Mapping[str, Mapping[str, Array]]) -> pd.DataFrame:
    """One row per detector: the benchmark's own rule (best threshold on the same labels), and for ours a fixed threshold and one that never saw the file."""
    rows = []
    for detector, of_file in scores.items():
        corpus = [file.scored(of_file[file.name]) for file in files]
        best = best_threshold(corpus)
        row = {"detector": detector, "threshold": best.threshold, "both": best.score}
        for category in (DEVELOPED_ON, OTHER):
            row[category] = best_threshold([part for file, part in zip(files, corpus, strict=True) if file.category == category]).score
        if detector == "headroom":
            row |= _fixed(files, corpus)
        rows.append(row)
    ordered = pd.DataFrame(rows).sort_values("both", ascending=False)
    return ordered.round({name: 3 if name == "threshold" else 1 for name in ordered.columns[1:]})


def _fixed(files: list[NabFile], corpus: list[LabelledFile]) -> dict[str, float]:
    """Scores with `THRESHOLD`, and with, for each file, the threshold that is best on all the others."""
    row = {"both, fixed": corpus_score(corpus, THRESHOLD)}
    for category in (DEVELOPED_ON, OTHER):
        row[f"{category}, fixed"] = corpus_score(
            [part for file, part in zip(files, corpus, strict=True) if file.category == category], THRESHOLD
        )
    left_out = [best_threshold(corpus[:number] + corpus[number + 1 :]).threshold for number in range(len(corpus))]
    shifted = [LabelledFile(part.scores - threshold, part.windows) for part, threshold in zip(corpus, left_out, strict=True)]
    return row | {"both, leave one file out": corpus_score(shifted, 0.0)}


def file_table(files: list[NabFile], scores: Mapping[str, Array]) -> pd.DataFrame:
    rows = []
    for file in files:
        alarms = np.flatnonzero(scores[file.name] >= THRESHOLD)
        hit = sum(any(first <= row <= last for row in alarms) for first, last in file.windows)
        score = corpus_score([file.scored(scores[file.name])], THRESHOLD) if file.windows else float("nan")
        rows.append({"file": file.name, "windows": len(file.windows), "found": hit, "alarms": len(alarms), "score": round(score, 0)})
    return pd.DataFrame(rows)


def server_table(traces: pd.DataFrame) -> pd.DataFrame:
    """A server is flagged when one of its signals is; rows that are not labelled count nowhere."""
    long = traces.melt(["server", "ds", "label"], SIGNALS, var_name="signal", value_name="y")
    judged = detect_anomalies(long.assign(unique_id=long["server"] + "/" + long["signal"]), step=FIVE_MINUTES)
    judged = judged.assign(server=judged["unique_id"].str.split("/").str[0], row=judged["score"] >= THRESHOLD)
    flags = judged.groupby(["server", "ds"])[["row", "alarm", "incident"]].any()
    labelled = traces[traces["label"] >= 0].set_index(["server", "ds"])["label"].eq(1)
    flags = flags.reindex(labelled.index)
    return pd.DataFrame([_judge_servers(flags[kind], labelled, kind) for kind in ("row", "incident", "alarm")])


def _judge_servers(flag: pd.Series[bool], labelled: pd.Series[bool], kind: str) -> dict[str, object]:
    """Rows, segments (runs of labelled rows) and how long each took to be flagged."""
    found, raised, true_raised, delays, segments = 0, 0, 0, [], 0
    for server, truth in labelled.groupby(level="server"):
        own = flag.loc[server].to_numpy()
        for start, end in _runs(truth.to_numpy()):
            segments += 1
            first = np.flatnonzero(own[start:end])
            found += len(first) > 0
            delays += [5.0 * first[0]] if len(first) else []
        runs = _runs(own)
        raised += len(runs)
        true_raised += sum(bool(truth.to_numpy()[start:end].any()) for start, end in runs)
    days = len(labelled) * FIVE_MINUTES / DAY
    points = _precision_recall(int((flag & labelled).sum()), int(flag.sum()), int((flag & labelled).sum()), int(labelled.sum()))
    runs_found = _precision_recall(true_raised, raised, found, segments)
    return {
        "flag": {"row": "score >= threshold", "incident": "incident", "alarm": "alarm"}[kind],
        **{f"row {name}": value for name, value in points.items()},
        **{f"segment {name}": value for name, value in runs_found.items()},
        "segments found": f"{found} of {segments}",
        "delay median min": float(np.median(delays)) if delays else float("nan"),
        "delay mean min": round(float(np.mean(delays)), 1) if delays else float("nan"),
        "false per server-day": round((raised - true_raised) / days, 2),
    }


def _precision_recall(true_flags: int, flags: int, found: int, wanted: int) -> dict[str, float]:
    precision, recall = true_flags / max(flags, 1), found / wanted
    return {
        "precision": round(precision, 2),
        "recall": round(recall, 2),
        "F1": round(2 * precision * recall / max(precision + recall, 1e-9), 2),
    }


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def hourly_table(traces: pd.DataFrame) -> pd.DataFrame:
    """The rule of the lake's table against the detector: at the threshold of each, and the detector with as many flagged server-hours as the rule."""
    signals = traces.melt(["server", "ds", "label"], SIGNALS, var_name="signal", value_name="y")
    signals = signals.assign(ds=signals["ds"].dt.floor("h"), unique_id="labelled/" + signals["server"] + ":" + signals["signal"] + "/load")
    hours = signals.groupby(["unique_id", "server", "ds"], as_index=False).agg(y=("y", "mean"), label=("label", "max"))
    labelled = hours[hours["label"] >= 0].groupby(["server", "ds"])["label"].max().eq(1)
    by_rule = find_anomalies(hours[["unique_id", "ds", "y"]], empty_frame("events")).merge(hours[["unique_id", "ds", "server"]])
    rule = by_rule.groupby(["server", "ds"])["score"].max().reindex(labelled.index).notna()
    judged = detect_anomalies(hours, step=pd.Timedelta("1h")).merge(hours[["unique_id", "ds", "server"]])
    score = judged.groupby(["server", "ds"])["score"].max().reindex(labelled.index)
    flags = {
        "weekly median, 6 robust deviations": rule,
        "detector, as many flags": score.rank(ascending=False) <= rule.sum(),
        f"detector, {THRESHOLD}": score >= THRESHOLD,
    }
    rows = []
    for method, flag in flags.items():
        found = [
            flag.loc[server].to_numpy()[start:end].any()
            for server, truth in labelled.groupby(level="server")
            for start, end in _runs(truth.to_numpy())
        ]
        precision = float((flag & labelled).sum() / flag.sum())
        rows.append(
            {
                "method": method,
                "server-hours flagged": int(flag.sum()),
                "precision": round(precision, 2),
                "segments found": f"{sum(found)} of {len(found)}",
            }
        )
    return pd.DataFrame(rows)


def cost_table() -> pd.DataFrame:
    """Time of one online update, five-minute rows, over 500 of them after a warm-up; one thread."""
    rows = []
    for series in (1, 48, 1000):
        values = 100 + np.random.default_rng(0).normal(0, 1, (700, series))
        detector, moments = AnomalyDetector(series, FIVE_MINUTES), pd.date_range("2026-01-01", periods=700, freq=FIVE_MINUTES, tz="UTC")
        for row in range(200):
            detector.update(moments[row], values[row])
        before = time.process_time()
        for row in range(200, 700):
            detector.update(moments[row], values[row])
        micros = (time.process_time() - before) / 500 * 1e6
        rows.append({"series at once": series, "us per step": round(micros), "us per row": round(micros / series, 1)})
    return pd.DataFrame(rows)


def plot(files: list[NabFile], scores: Mapping[str, Array], path: Path) -> None:
    """One file that goes well, one that does not, and the score at every threshold."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 1, figsize=(11, 9), layout="constrained")
    by_name = {Path(file.name).stem: file for file in files}
    for axis, name in zip(axes, ("nyc_taxi", "ec2_cpu_utilization_24ae8d"), strict=False):
        file = by_name[name]
        alarms = np.flatnonzero(scores[file.name] >= THRESHOLD)
        axis.plot(file.y, color="0.45", linewidth=0.6)
        for first, last in file.windows:
            axis.axvspan(first, last, color="tab:green", alpha=0.2, linewidth=0)
        axis.plot(alarms, file.y[alarms], "v", color="tab:red", markersize=6)
        axis.set(title=f"{file.name}: labelled windows (green), alarms at score {THRESHOLD} (red)", xlabel="row")
    thresholds = np.linspace(1.0, 4.0, 121)
    categories: dict[str, Callable[[NabFile], bool]] = {
        "both": lambda file: True,
        f"{DEVELOPED_ON} (developed on)": lambda file: file.category == DEVELOPED_ON,
        f"{OTHER} (nothing tuned on it)": lambda file: file.category == OTHER,
    }
    for label, wanted in categories.items():
        corpus = [file.scored(scores[file.name]) for file in files if wanted(file)]
        axes[2].plot(thresholds, [corpus_score(corpus, threshold) for threshold in thresholds], label=label)
    axes[2].axvline(THRESHOLD, color="0.3", linestyle="--", linewidth=0.8)
    axes[2].set(title="Standard score by threshold (dashed: the fixed one)", xlabel="threshold", ylim=(-20, 90))
    axes[2].legend()
    figure.savefig(path, dpi=110)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.anomalies", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the recordings")
    parser.add_argument("--output", type=Path, required=True, help="folder for anomalies.md and anomalies.png")
    parser.add_argument("--published", type=Path, help="the benchmark's folder of published results")
    return parser.parse_args(arguments)


def _markdown(table: pd.DataFrame) -> str:
    head = "| " + " | ".join(table.columns) + " |\n|" + "---|" * len(table.columns)
    lines = ["| " + " | ".join("" if value != value else str(value) for value in row) + " |" for row in table.itertuples(index=False)]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main(sys.argv[1:])
