"""What reconciliation does to forecasts of series and totals: error per level, coverage, what did not add up before, seconds.

    .venv/bin/python -m tests.benchmarks.hierarchy --data DIR --output DIR

Two hierarchies: the demo traces (edge, media, api and batch over three regions) and `DIR/servers.parquet` (12 servers, summed by
metric). Every series and total is forecast on its own by a cheap candidate, over the last windows of 72 hours that do not overlap. What a
tested window needs, conformal offsets per level and past errors, comes from the windows before it. Writes `hierarchy.csv` (one row per
traces, candidate, level and method), `hierarchy.md`, `hierarchy.png` and `speed.csv`.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from headroom.schemas import TABLES
from headroom.vocabulary import HORIZON_HOURS, QUANTILE_COLUMNS, QUANTILES, split_series_ids
from models.backtest import backtest, backtest_cutoffs
from models.calibration import fit_calibration
from models.forecaster import SeriesCalendar
from models.hierarchy import hierarchy_of, incoherence, level_of, with_totals
from models.pinball import coverage, wql
from models.reconciliation import METHODS, Reconciliation, forecast_errors, reconcile

DEMO = Path(__file__).resolve().parents[2] / "demo" / "metrics.parquet"
RESOURCES = {"cpu_vcpu": "cpu", "egress_gbps": "bandwidth"}
SERVICES = ("edge", "media", "api", "batch")
CANDIDATES = ("mstl", "seasonal-naive-168")
BEFORE = "before"
WAYS = {name: Reconciliation(name) for name in METHODS} | {"wls-var, medians add up": Reconciliation("wls-var", medians_add_up=True)}
# Windows before the first tested one.
LEAD = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with servers.parquet")
    parser.add_argument("--output", type=Path, required=True, help="folder for the tables and the picture")
    parser.add_argument("--windows", type=int, default=7, help="windows of 72 hours that are tested")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    traces = {"demo": demo_traces(DEMO), "servers": server_traces(options.data / "servers.parquet")}
    measured = pd.concat(
        [
            of_traces(history, candidate, options.windows).assign(traces=name, candidate=candidate)
            for (name, history), candidate in product(traces.items(), CANDIDATES)
        ]
    )
    measured.to_csv(options.output / "hierarchy.csv", index=False)
    (options.output / "hierarchy.md").write_text(as_table(measured))
    draw(measured, options.output / "hierarchy.png")
    speed = pd.DataFrame([seconds_of(series, method) for series, method in product((100, 1000), METHODS)])
    speed.to_csv(options.output / "speed.csv", index=False)
    print(as_table(measured), speed.to_string(index=False), sep="\n")  # noqa: T201 -- a benchmark reports to its terminal


def demo_traces(path: Path) -> pd.DataFrame:
    """Hourly means of CPU and bandwidth."""
    rows = pd.read_parquet(path)
    rows = rows[rows["metric"].isin(list(RESOURCES)) & rows["service"].isin(list(SERVICES))]
    names = rows["region"].astype(str) + "/" + rows["service"].astype(str) + "/" + rows["metric"].astype(str).map(RESOURCES)
    hourly = rows.assign(unique_id=names, ds=rows["timestamp"].dt.floor("h")).groupby(["unique_id", "ds"], as_index=False)
    return hourly.agg(y=("value", "mean")).astype({"y": float})


def server_traces(path: Path) -> pd.DataFrame:
    """Every server is a service of one region."""
    rows = pd.read_parquet(path)
    return rows.assign(unique_id="site/" + rows["unique_id"], ds=rows["ds"].dt.tz_localize("UTC"))


def of_traces(recorded: pd.DataFrame, candidate: str, windows: int) -> pd.DataFrame:
    """Measures of every level before and after, over the tested windows."""
    history = with_totals(recorded)
    hierarchy = hierarchy_of(recorded["unique_id"].unique())
    # The windows end where all series are still measured; some regions' recordings end earlier.
    end = history.groupby("unique_id")["ds"].max().min() + pd.Timedelta(hours=1)
    no_events = TABLES["events"].schema.empty_table().to_pandas().drop(columns="day")
    oof = backtest([candidate], history, no_events, SeriesCalendar(), backtest_cutoffs(end, LEAD + windows))
    frames = []
    for cutoff in sorted(oof["cutoff"].unique())[LEAD:]:
        past, now = oof[oof["cutoff"] < cutoff], calibrated(oof[oof["cutoff"] < cutoff], oof[oof["cutoff"] == cutoff])
        truth = now[["unique_id", "ds", "cutoff", "y"]]
        frames.append(now.assign(method=BEFORE))
        for name, how in WAYS.items():
            found = reconcile(now, forecast_errors(past), hierarchy, how)
            frames.append(found.merge(truth, on=["unique_id", "ds"]).assign(method=name))
    rows = pd.concat(frames, ignore_index=True)
    # A total of one part is that part: counting it again would weigh it double.
    own = hierarchy.leaves + tuple(np.asarray(hierarchy.totals)[distinct(hierarchy.parts.toarray())])
    gaps = {
        name: [incoherence(part, hierarchy).loc[lambda gap: gap.index.isin(own)] for _, part in group.groupby("cutoff")]
        for name, group in rows.groupby("method")
    }
    return measures(rows[rows["unique_id"].isin(own)], {name: pd.concat(parts).groupby(level=0).mean() for name, parts in gaps.items()})


def calibrated(past: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The forecast with offsets learnt from the windows before, per level."""
    levels = level_of(past["unique_id"])
    return pd.concat([fit_calibration(past[levels == level]).apply(part) for level, part in now.groupby(level_of(now["unique_id"]))])


def distinct(parts: np.ndarray) -> np.ndarray:
    """Positions of the totals of more than one part, without those that sum the same parts as another."""
    several = np.flatnonzero(parts.sum(axis=1) > 1)
    return several[np.sort(np.unique(parts[several], axis=0, return_index=True)[1])]


def measures(rows: pd.DataFrame, gaps: dict[str, pd.Series]) -> pd.DataFrame:
    """One row per level and method; errors of resources, whose units differ, are averaged as WQL."""
    rows = rows.assign(level=level_of(rows["unique_id"]), resource=split_series_ids(rows["unique_id"])["resource"])
    keys = ["level", "method", "resource", "cutoff"]
    by_window = pd.Series({key: wql(part) for key, part in rows.groupby(keys)}).groupby(level=[0, 1, 3]).mean()
    found = []
    for (level, method), part in rows.groupby(["level", "method"]):
        gap = gaps[method][level_of(gaps[method].index.to_series()) == level]
        found.append(
            {
                "level": level,
                "method": method,
                "series": part["unique_id"].nunique(),
                "windows": part["cutoff"].nunique(),
                "wql": float(np.mean([wql(group) for _, group in part.groupby("resource")])),
                "better_windows": int((by_window[level, method] < by_window[level, BEFORE]).sum()),
                "coverage_80": 100 * coverage(part, 0.8),
                "coverage_98": 100 * coverage(part, 0.98),
                "median_gap": 100 * float(gap.mean()) if len(gap) else 0.0,
            }
        )
    return pd.DataFrame(found)


def as_table(measured: pd.DataFrame) -> str:
    """Markdown, a row per traces and level: the gap of medians and WQL before, then the change of WQL and the windows in which it fell."""
    header = ["traces, candidate", "level (series)", "gap of medians before", "WQL before", *WAYS, f"80 % covers: {BEFORE}", *METHODS]
    lines = [header, ["---"] * len(header)]
    for (traces, candidate, level), group in measured.groupby(["traces", "candidate", "level"]):
        rows = group.set_index("method")
        before = rows.loc[BEFORE]
        cells = [f"{traces}, {candidate}", f"{level} ({before['series']})"]
        cells += ["" if level == "series" else f"{before['median_gap']:.2f} %", f"{before['wql']:.4f}"]
        cells += [changed(rows.loc[name], before["wql"]) for name in WAYS]
        cells += [f"{rows.loc[name, 'coverage_80']:.1f} %" for name in (BEFORE, *METHODS)]
        lines.append(cells)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def changed(row: pd.Series, before: float) -> str:
    change = 100 * (row["wql"] / before - 1)
    return "unchanged" if abs(change) < 1e-6 else f"{change:+.1f} % ({row['better_windows']} of {row['windows']})"


def draw(measured: pd.DataFrame, path: Path) -> None:
    """Change of WQL per level, one panel for traces and candidate, one bar per method."""
    from matplotlib.figure import Figure

    groups = list(measured.groupby(["traces", "candidate"]))
    figure = Figure(figsize=(4 * len(groups), 3.6), layout="constrained")
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for panel, ((traces, candidate), group) in zip(panels, groups, strict=True):
        wide = group.pivot_table(index="level", columns="method", values="wql")
        change = 100 * (wide.div(wide[BEFORE], axis=0) - 1)[list(WAYS)].reindex(
            [level for level in ("global", "region", "service", "series") if level in wide.index]
        )
        change.plot.bar(ax=panel, legend=False, width=0.8, rot=0, color=["#7f7f7f", "#1f4e79", "#c55a11", "#9dc3e6"])
        panel.axhline(0, color="#444444", linewidth=0.8)
        panel.set_title(f"{traces}, {candidate}")
        panel.set_xlabel("")
    panels[0].set_ylabel("change of WQL by reconciliation, %")
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=90)


def seconds_of(series: int, method: str) -> dict[str, object]:
    """Time to reconcile a normal forecast of `series` series (ten regions, four resources) with its totals, with five windows of errors."""
    random = np.random.default_rng(0)
    resources = ("cpu", "memory", "storage", "bandwidth")
    names = [f"r{number % 10}/s{number // 40}/{resources[number // 10 % 4]}" for number in range(series)]
    hierarchy = hierarchy_of(names)
    summing = hierarchy.summing.toarray()
    past = (random.normal(size=(5 * HORIZON_HOURS, series)) + random.normal(size=(5 * HORIZON_HOURS, 1))) @ summing.T
    middle = random.uniform(20, 60, (HORIZON_HOURS, series)) @ summing.T
    steps = np.array([NormalDist().inv_cdf(quantile) for quantile in QUANTILES])
    forecast = long(hierarchy.ids, middle[..., None] + past.std(axis=0)[:, None] * steps, list(QUANTILE_COLUMNS))
    errors = long(hierarchy.ids, past[..., None], ["error"]).assign(cutoff=pd.Timestamp("2026-01-01", tz="UTC"))
    wall, cpu = time.perf_counter(), time.process_time()
    reconcile(forecast, errors, hierarchy, Reconciliation(method))
    return {
        "series": series,
        "totals": len(hierarchy.totals),
        "method": method,
        "seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }


def long(names: tuple[str, ...], values: np.ndarray, columns: list[str]) -> pd.DataFrame:
    """Rows of an array (hours, series, columns)."""
    rows = pd.DataFrame(values.reshape(-1, len(columns)), columns=columns)
    hours = pd.date_range("2026-01-01", periods=len(values), freq="h", tz="UTC")
    return rows.assign(unique_id=np.tile(np.array(names, dtype=object), len(hours)), ds=hours.repeat(len(names)))


if __name__ == "__main__":
    main()
