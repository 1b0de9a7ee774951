"""The model card of a version: what it is, what it learnt from, how good it is, what it cannot do, how to use it. Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from headroom.vocabulary import HORIZON_BUCKETS, HORIZON_HOURS
from models.breakdown import ALL, breakdown
from models.fitting import Fitted
from models.gate import Decision
from models.gate_guards import Verdict
from models.registry import MODEL_NAME
from models.training_pictures import segment_weights
from models.training_plan import TrainingPlan

__all__ = ["model_card"]

_MOST_ROWS: Final = 20


def model_card(
    plan: TrainingPlan, fitted: Fitted, calibrated: pd.DataFrame, *, version: str, decision: Decision, verdicts: Sequence[Verdict]
) -> str:
    """The card of `version`; the same arguments give the same text.

    Args:
        calibrated: `fitted.judged`, calibrated on the windows before.
    """
    judged = sorted(fitted.judged["cutoff"].unique())
    parts = [
        f"# {MODEL_NAME} {version}",
        f"Quantiles of hourly demand, 1 to {HORIZON_HOURS} hours ahead, for {len(fitted.weights)} series: the weighted mean of the quantiles of several "
        "candidates, with weights per series, then calibrated per horizon bucket. Made to reserve capacity ahead of demand.",
        _gate(decision, verdicts),
        _data(plan),
        _weights(fitted.weights),
        *([_tuning(fitted)] if len(fitted.arms) else []),
        f"## Quality\n\nOn {len(judged)} window{'s' if len(judged) > 1 else ''} of {HORIZON_HOURS} h from {pd.Timestamp(judged[0]):%Y-%m-%d %H:%M} UTC, which selected "
        "nothing. Score: mean over series of the pinball loss over the better seasonal naive's (below 1 is better). WQL: mean over series. "
        "Coverage: after a calibration on the windows before.",
        _quality(fitted, calibrated),
        _limits(plan),
        _usage(version, plan.issue_time),
    ]
    return "\n\n".join(parts) + "\n"


def _gate(decision: Decision, verdicts: Sequence[Verdict]) -> str:
    lines = [f"- `gate.{verdict.name}` {verdict}" for verdict in verdicts]
    return "\n".join(["## Gate", "", decision.reason + ".", "", *lines])


def _data(plan: TrainingPlan) -> str:
    lines = [
        "## Data",
        "",
        f"- window: {plan.history_start.isoformat()} to {plan.issue_time.isoformat()} (what was known at the end of it)",
        f"- digest of history and events: `{plan.data_digest}`",
        f"- training: `{plan.run_id}`, {len(plan.cutoffs)} backtest windows",
    ]
    return "\n".join(lines + ([f"- without history, left out: {', '.join(plan.missing[:_MOST_ROWS])}"] if plan.missing else []))


def _weights(weights: pd.DataFrame) -> str:
    shares = segment_weights(weights)
    used = [str(name) for name in shares.columns[(shares > 0).any()]]
    rows = [
        [str(segment), *(f"{row[name]:.0%}".replace("%", " %") for name in used)] for segment, row in shares.head(_MOST_ROWS).iterrows()
    ]
    return "## Candidates and their mean weights\n\n" + _table(["segment", *used], rows)


def _tuning(fitted: Fitted) -> str:
    head = (
        "## Self-tuning\n\nParameters of the candidates and how far a series' weights are drawn away from its own windows were chosen per series, as a preset, from "
        "the loss that earlier choices turned out to have (`docs/runbooks/training.md`). The score is that of the table below, before calibration, of "
        "the series that chose it; another preset was not tried on them here."
    )
    rows = [[row["arm"], str(row["series"]), f"{row['score']:.4f}"] for row in fitted.arms.to_dict("records")]
    return head + "\n\n" + _table(["preset", "series that chose it", "score"], rows)


def _quality(fitted: Fitted, calibrated: pd.DataFrame) -> str:
    raw, after = (breakdown(rows, fitted.floor).set_index(["segment", "bucket"]) for rows in (fitted.judged, calibrated))
    segments = list(dict.fromkeys(segment for segment, _ in raw.index))[:_MOST_ROWS]
    keys = [(ALL, bucket) for bucket in (ALL, *HORIZON_BUCKETS)] + [(segment, ALL) for segment in segments if segment != ALL]
    rows = []
    for key in keys:
        if key in raw.index:
            figures = [
                f"{raw['score'][key]:.3f}",
                f"{raw['wql'][key]:.4f}",
                f"{after['coverage_80'][key]:.1%}",
                f"{after['coverage_98'][key]:.1%}",
            ]
            rows.append([*key, *(figure.replace("%", " %") for figure in figures)])
    return _table(["segment", "horizon (h)", "score", "WQL", "80 % covers", "98 % covers"], rows)


def _limits(plan: TrainingPlan) -> str:
    lines = [
        "## Known limits",
        "",
        f"- It forecasts series that it was trained on, at hourly steps, up to {HORIZON_HOURS} h ahead, and needs 72 measured hours of the last four weeks; "
        "other series are left out of the answer.",
        "- Events and weather count only as far as they are handed in with `events`; none are fetched.",
        f"- The scores come from {plan.options.calibration_windows} window{'s' if plan.options.calibration_windows > 1 else ''} of 72 h: they tell large differences, not small ones.",
        "- Calibration is pooled over series and holds while errors stay as they were; after a shift of level it takes days of measurements to follow "
        "(`learn_from_usage` does so in the loop, the registered version alone does not).",
        "- A demand that was never measured (capped, lost in an outage) is not forecast.",
    ]
    return "\n".join(lines)


def _usage(version: str, issue_time: pd.Timestamp) -> str:
    return f"""## How to use it

`history.csv` has the columns `unique_id,ds,y`: four weeks of hours in UTC, without a zone.

```sh
mlflow models predict -m models:/{MODEL_NAME}/{version} -i history.csv -t csv --env-manager uv
```

It makes an environment from the model's `requirements.txt` with uv (`pip install uv`); `MLFLOW_TRACKING_URI` names the registry, and Headroom's code travels with the model. In Python, with an issue time and events:

```python
model = mlflow.pyfunc.load_model("models:/{MODEL_NAME}/{version}")
model.predict(history, params={{"issue_time": "{issue_time.isoformat()}", "events": "[]"}})
```"""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
