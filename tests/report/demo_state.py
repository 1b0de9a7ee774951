"""A lived-in installation from the bundled traces: metrics, events, forecasts, plans, a ledger and a champion, without training anything."""

from pathlib import Path

import numpy as np
import pandas as pd

from headroom.home import Home
from headroom.lake import Lake
from headroom.schemas import TABLES
from headroom.settings import Settings, load_settings
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES, SeriesId
from infra.ledger import Ledger
from infra.ledger_rows import Holding
from models.promotion_log import PromotionLog
from tests.infra.planned_rows import planned_rows

REPOSITORY = Path(__file__).parents[2]
ISSUE = pd.Timestamp("2026-07-09T00:00Z")
ISSUES = [ISSUE - pd.Timedelta(hours=h) for h in (24, 12, 0)]
MEASURED_UNTIL = ISSUE + pd.Timedelta("7h")
_SAMPLE_DAYS = 14
_HOUR = pd.Timedelta("1h")


def build_demo_state(root: Path) -> tuple[Settings, Home, Lake]:
    """Write the state under `root` and return what the report takes."""
    settings = load_settings(REPOSITORY / "capacity.yaml")
    home = Home.from_environment({"HEADROOM_HOME": str(root)})
    home.root.mkdir(parents=True, exist_ok=True)
    lake = Lake(home.lake_uri)
    lake.create()
    metrics = _metrics(settings)
    lake.replace("metrics", metrics, start=metrics["ds"].min(), end=MEASURED_UNTIL)
    _events(lake)
    _quarantine(lake)
    hourly = metrics.assign(ds=metrics["ds"].dt.floor("h")).groupby(["unique_id", "ds"])["y"].max().unstack("unique_id")
    for issue in ISSUES:
        rows = empirical_forecast(settings, hourly, issue)
        lake.replace("forecasts", rows, start=issue, end=issue + _HOUR)
        lake.replace("plans", planned_rows(settings, rows, issue_time=issue), start=issue, end=issue + _HOUR)
    _ledger(settings, home, lake)
    _outcomes(lake, hourly)
    with PromotionLog.open(home.database_url) as log:
        for version, since, score in (("2", ISSUES[0], 0.81), ("3", ISSUES[1], 0.742)):
            log.record(model="demand-forecaster", version=version, run_id=f"r{version}", effective_at=since, reason="better", score=score)
    return settings, home, lake


def empirical_forecast(settings: Settings, hourly: pd.DataFrame, issue: pd.Timestamp) -> pd.DataFrame:
    """Quantiles of the same hour in the two weeks before the issue time, widened a little with the horizon."""
    ds = pd.date_range(issue, periods=72, freq="h")
    frames = []
    for series in settings.series:
        past = hourly[str(series)].loc[: issue - _HOUR].tail(24 * _SAMPLE_DAYS).to_numpy().reshape(-1, 24)
        samples = np.tile(past, (1, 3))
        quantiles = np.quantile(samples, QUANTILES, axis=0).T
        median = quantiles[:, QUANTILES.index(0.5)]
        confidence = (np.abs(samples - median) <= settings.policy.tolerance * median).mean(axis=0)
        frame = pd.DataFrame(
            {"unique_id": str(series), **SeriesId(*series)._asdict(), "ds": ds, "horizon": np.arange(1, 73), "confidence": confidence}
        )
        frames.append(frame.assign(**{c: quantiles[:, i] for i, c in enumerate(QUANTILE_COLUMNS)}))
    return pd.concat(frames, ignore_index=True).assign(
        issue_time=issue,
        model="demand-forecaster",
        model_version="3",
        candidate="empirical",
        fallback_reason="",
        train_start=issue - pd.Timedelta(days=41),
        train_end=ISSUES[0],
        available_at=issue,
    )


def _metrics(settings: Settings) -> pd.DataFrame:
    names = {(s.region, s.service, settings.services[s.service].demand[s.resource]): s for s in settings.series}  # type: ignore[index]
    start = ISSUES[0] - pd.Timedelta(days=_SAMPLE_DAYS + 1)
    rows = pd.read_parquet(
        REPOSITORY / "demo" / "metrics.parquet", filters=[("timestamp", ">=", start), ("timestamp", "<", MEASURED_UNTIL)]
    )
    rows = rows.astype({"region": str, "service": str, "metric": str, "value": float})
    keys = list(zip(rows["region"], rows["service"], rows["metric"], strict=True))
    rows = rows.assign(series=[names.get(k) for k in keys]).dropna(subset=["series", "value"])
    rows = rows.assign(resource=[s.resource for s in rows["series"]], unique_id=[str(s) for s in rows["series"]])
    rows = rows.rename(columns={"timestamp": "ds", "value": "y"})[["unique_id", "region", "service", "resource", "ds", "y"]]
    return rows.drop_duplicates(["unique_id", "ds"]).assign(available_at=rows["ds"] + pd.Timedelta("5min"), source="traces", warnings="")


def _events(lake: Lake) -> None:
    events = pd.read_csv(REPOSITORY / "demo" / "events.csv", parse_dates=["start", "end"])
    events = events.rename(columns={"venue": "source"}).assign(
        event_id=[f"match-{i}" for i in range(len(events))],
        source="matches",
        strength=1.0,
        value=np.nan,
        available_at=events["start"] - pd.Timedelta(days=30),
    )
    lake.replace("events", events, start=events["start"].min(), end=events["start"].max() + _HOUR)


def _quarantine(lake: Lake) -> None:
    rows = pd.DataFrame(
        {
            "region": "asia-east1",
            "service": "api",
            "metric": "cpu_vcpu",
            "ds": [ISSUE - pd.Timedelta(minutes=5 * i) for i in range(1, 8)],
            "value": "-1.0",
            "rule": ["value is negative"] * 5 + ["timestamp is in the future"] * 2,
            "reason": "a demand is 0 or more",
            "row": [f'{{"line": {i}}}' for i in range(7)],
        }
    ).assign(source="traces", window_start=ISSUE - pd.Timedelta("12h"), window_end=ISSUE, available_at=ISSUE)
    lake.replace("quarantine", rows, start=ISSUE - pd.Timedelta("12h"), end=ISSUE)


def _ledger(settings: Settings, home: Home, lake: Lake) -> None:
    """What the first hours of the plan ask for, held, except the machines of batch."""
    plan = lake.read("plans", start=ISSUE, end=ISSUE + _HOUR)
    first = plan[plan["ds"] == ISSUE]
    ledger = Ledger.open(home.database_url)
    for region in settings.regions:
        machines = first[(first["region"] == region) & (first["resource"] == "instances") & (first["service"] != "batch")]
        held = [
            Holding(
                f"{region}-a",
                row["service"],
                "instances",
                pool,
                f"headroom-{row['service']}",
                row[pool],
                "instances",
                row["cost_usd"] * (pool == "hot"),
            )
            for row in machines.to_dict("records")
            for pool in ("hot", "warm")
        ]
        ledger.record_result(region, ISSUE, held, [])
    ledger.engine.dispose()


def _outcomes(lake: Lake, hourly: pd.DataFrame) -> None:
    """The day that has been lived through, judged for its intervals only."""
    rows = lake.read("forecasts", start=ISSUES[0], end=ISSUE)
    rows = rows[rows["ds"] < ISSUE].merge(hourly.stack().rename("y").reset_index(), on=["unique_id", "ds"])
    judged = rows.assign(
        bucket="1-6", median=rows["0.5"], error=rows["y"] - rows["0.5"], pinball=0.0, covered_80=rows["y"].between(rows["0.1"], rows["0.9"])
    )
    judged = judged.assign(covered_98=True, held=np.nan, unmet=np.where(rows["resource"] == "cpu", 0.0, np.nan), cost_usd=np.nan)
    lake.replace("outcomes", judged[list(TABLES["outcomes"].columns)], start=ISSUES[0], end=ISSUE)
