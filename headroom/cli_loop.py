"""Commands of the loop: ingest, train, promote, score, plan, apply, correct, learn, report. Each calls what its DAG calls."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from headroom.console import open_console

if TYPE_CHECKING:
    import pandas as pd

    from infra.reconciler import ReconcileReport

__all__ = ["register"]

AsOf = Annotated[str | None, typer.Option("--as-of", help="Issue time, UTC, for example 2026-07-08T00:00Z. Default: now.")]
Regions = Annotated[list[str] | None, typer.Option("--region", help="Only this region; may be repeated.")]
Policy = Annotated[str | None, typer.Option(help="Policy by name. Default: the one in capacity.yaml.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (ingest, train, promote, score, plan, apply, correct, learn, report):
        app.command()(command)


def ingest(
    as_of: AsOf = None,
    hours: Annotated[int, typer.Option(help="Length of the window that ends at the issue time.", min=1)] = 1,
    events: Annotated[bool, typer.Option(help="Read the calendars too.")] = True,
) -> None:
    """Pull, validate and publish metrics and events.

    A source that asks for a login takes it from HEADROOM_<SOURCE>_USER and _PASSWORD, or from HEADROOM_<SOURCE>_TOKEN.

    Example: headroom ingest --as-of 2026-07-08T00:00Z --hours 984
    """
    import pandas as pd

    from feature_store.data_docs import write_data_docs
    from feature_store.ingestion import ingest_events, ingest_metrics
    from headroom.runtime import Runtime

    console, opened, issue = open_console(), Runtime.open(), _issue(as_of)
    work = opened.home.validation
    start = issue - pd.Timedelta(hours=hours)
    for source in opened.settings.metrics:
        with console.status(f"ingesting {source.name}"):
            done = ingest_metrics(
                opened.settings, opened.lake, opened.base, work, source=source.name, start=start, end=issue, issue_time=issue
            )
        console.print(
            f"{source.name}: {done.published} rows published, {done.quarantined} quarantined, {done.warned} with warnings", highlight=False
        )
    if events and opened.settings.calendars:
        for name, told in ingest_events(opened.settings, opened.lake, opened.base, issue_time=issue).sources.items():
            words = (
                f"not read: {told.error}" if told.error else f"{told.rows} events, {told.added} new or changed, {told.cancelled} cancelled"
            )
            console.print(f"{name}: {words}", style="yellow" if told.error else None, highlight=False)
    console.print(f"Data Docs: {write_data_docs(work, opened.home.data_docs)}", highlight=False)


def train(
    as_of: AsOf = None,
    history_days: Annotated[int, typer.Option(help="Days of history.", min=14)] = 41,
    promote: Annotated[str, typer.Option(help="auto, review or never.")] = "auto",
    candidate: Annotated[list[str] | None, typer.Option(help="Only this candidate; may be repeated.")] = None,
) -> None:
    """Backtest, select, calibrate, register; promote when the gate says so.

    Example: headroom train --as-of 2026-07-08T00:00Z
    """
    from headroom.runtime import Runtime
    from models.training import TrainingOptions, backtest_shard, finish_training, plan_training

    console, opened, issue = open_console(), Runtime.open(), _issue(as_of)
    chosen = {"candidates": candidate} if candidate else {}
    options = TrainingOptions(history_days=history_days, promote=promote, **chosen)  # type: ignore[arg-type]
    run_id = f"cli-{issue:%Y-%m-%dT%H}"
    log = opened.home.database_url
    planned = plan_training(
        opened.settings, opened.lake, opened.home.work, issue_time=issue, run_id=run_id, options=options, tuning_url=log
    )
    for shard in planned.shards:
        with console.status(f"backtesting {shard}"):
            backtest_shard(planned.folder, shard)
    with console.status("selecting and registering"):
        result = finish_training(opened.settings, opened.lake, opened.home, planned.folder)
    console.print(f"version {result.version}: {result.score:.2f} of the best naive's loss; {result.reason}", highlight=False)


def promote(version: str, why: Annotated[str, typer.Option(help="Kept in the promotion log.")], as_of: AsOf = None) -> None:
    """Make a version the champion, and record it in the promotion log.

    Example: headroom promote 3 --why "reviewed the leaderboard"
    """
    from headroom.runtime import Runtime
    from models.promotion import promote as promote_version

    promote_version(version, home=Runtime.open().home, reason=why, effective_at=_issue(as_of))
    open_console().print(f"version {version} is champion from {_issue(as_of).isoformat()}", highlight=False)


def score(
    as_of: AsOf = None,
    live: Annotated[bool, typer.Option(help="Use the champion alias of now; otherwise the promotion log decides.")] = False,
) -> None:
    """Forecast 72 hours for every series.

    Example: headroom score --as-of 2026-07-08T00:00Z
    """
    from headroom.runtime import Runtime
    from models.scoring import score_forecasts

    console, opened, issue = open_console(), Runtime.open(), _issue(as_of)
    with console.status("scoring"):
        done = score_forecasts(opened.settings, opened.lake, opened.home, issue_time=issue, live=live)
    if opened.settings.forecasting.totals:
        from models.lake_totals import write_totals

        console.print(f"{write_totals(opened.lake, issue_time=issue)} rows of totals", highlight=False)
    console.print(f"{done.rows} rows for {issue.isoformat()} by version {done.model_version}", highlight=False)
    for series, reason in done.fallbacks.items():
        console.print(f"  {series} fell back to seasonal naive: {reason}", highlight=False)


def plan(as_of: AsOf = None, region: Regions = None, policy: Policy = None) -> None:
    """Make the plan of an issue time; show it with its reasons, the limits that bind, quotas to ask for, and how it differs from what is held.

    Changes nothing in the cloud, and asks Google for nothing.

    Example: headroom plan --as-of 2026-07-08T00:00Z --region europe-west9
    """
    import pandas as pd

    from headroom.allocation import make_plan, reconcile_region
    from headroom.plan_text import print_plan
    from headroom.runtime import Runtime

    console, opened, issue = open_console(), Runtime.open(), _issue(as_of)
    made = make_plan(opened, issue_time=issue, regions=region, policy=policy)
    lines = opened.lake.read("plans", start=issue, end=issue + pd.Timedelta("1h"), where={"region": made.regions})
    print_plan(made, lines, console, project=opened.settings.cloud.project)
    console.print(
        f"{made.rows} rows planned for {issue.isoformat()}: {made.usd_per_day:.2f} USD per day. {made.approval_text}; {made.budget_text}",
        highlight=False,
    )
    for name in made.unplanned:
        console.print(f"not planned, no whole forecast: {name}; what it holds stays", style="yellow", highlight=False)
    for name in made.regions:
        _show(console, reconcile_region(opened, issue_time=issue, region=name, dry_run=True))


def apply(
    as_of: AsOf = None,
    region: Regions = None,
    policy: Policy = None,
    approve: Annotated[bool, typer.Option("--approve", help="You approve a change above the limits of capacity.yaml.")] = False,
) -> None:
    """Make the plan of an issue time and reconcile the cloud with it.

    Example: headroom apply --as-of 2026-07-08T00:00Z
    """
    from headroom.allocation import make_plan, reconcile_region
    from headroom.errors import BadInputError
    from headroom.runtime import Runtime

    console, opened, issue = open_console(), Runtime.open(), _issue(as_of)
    made = make_plan(opened, issue_time=issue, regions=region, policy=policy, grant_boosts=True)
    for words in (*(f"boosted {boost}" for boost in made.boosted), *made.unboosted):
        console.print(words, style="yellow", highlight=False)
    if made.approval_needed and not approve:
        raise BadInputError(f"{made.approval_text} Nothing was changed in the cloud; run again with --approve, or change that limit")
    for name in made.regions:
        with console.status(f"reconciling {name}"):
            done = reconcile_region(opened, issue_time=issue, region=name, dry_run=False)
        _show(console, done)


def correct(
    as_of: AsOf = None,
    region: Regions = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would move; read no source and change nothing.")] = False,
) -> None:
    """Let standby machines run that the next minutes need, and stand by again those that they do not, within the plan acted upon.

    Example: headroom correct --as-of 2026-07-08T09:35Z --dry-run
    """
    from headroom.correction import CORRECTION_STEP, UNSET, correct_region, decide, ingest_last_minutes
    from headroom.errors import BadInputError, UnavailableError
    from headroom.reconcile_text import unmet_words
    from headroom.runtime import Runtime

    console, opened, issue = open_console(), Runtime.open(), _issue(as_of, CORRECTION_STEP)
    if opened.settings.policy.correction is None:
        raise BadInputError(UNSET)
    for source in () if dry_run else opened.settings.metrics:
        try:
            ingest_last_minutes(opened, source=source.name, issue_time=issue)
        except (BadInputError, UnavailableError) as error:  # its services are left out by name, the others are corrected
            console.print(f"{source.name}: {error}", style="yellow", highlight=False)
    with console.status("forecasting the next minutes"):
        decided = decide(opened, issue_time=issue, regions=region)
    for name, why in decided.left_out.items():
        console.print(f"not corrected: {name}: {why}", style="yellow", highlight=False)
    for row in decided.rows:
        console.print(f"{row.region}/{row.service}: {row.why}", highlight=False)
    for name in decided.regions:
        done = correct_region(opened, decided.of(name), dry_run=dry_run)
        lines = [f"{action['state']}: {action['description']}" for action in done.actions] or ["nothing moves"]
        for line in (*lines, *map(unmet_words, done.unmet)):
            console.print(f"{name}: {line}", highlight=False)


def learn(as_of: AsOf = None) -> None:
    """Judge past forecasts and plans by what was really used; update calibration; look for drift and anomalies; reward the tuner."""
    from headroom.learn_text import learnt_lines
    from headroom.runtime import Runtime
    from models.learning import learn_from_usage
    from models.tuning.trainings import reward_trainings

    console, opened, issue = open_console(), Runtime.open(), _issue(as_of)
    learnt = learn_from_usage(opened.settings, opened.lake, issue_time=issue)
    frozen = opened.settings.forecasting.tuning == "frozen"
    tuned = reward_trainings(opened.settings, opened.lake, opened.home.database_url, issue_time=issue, frozen=frozen)
    for line in learnt_lines(learnt, tuned):
        console.print(line, highlight=False)


def report(as_of: Annotated[str | None, typer.Option("--as-of", help="Issue time. Default: the last one scored.")] = None) -> None:
    """Write the report page and print the summary."""
    from headroom.report import write_report
    from headroom.runtime import Runtime
    from headroom.summary import print_summary, summarise

    opened = Runtime.open()
    issue = _issue(as_of) if as_of else None
    write_report(opened.settings, opened.home, opened.lake, issue_time=issue)
    print_summary(summarise(opened.settings, opened.home, opened.lake, issue_time=issue), open_console())


def _issue(as_of: str | None, step: str = "h") -> pd.Timestamp:
    from headroom.issue_time import as_utc

    return as_utc(as_of or datetime.now().astimezone(), "--as-of").floor(step)


def _show(console: Console, done: ReconcileReport) -> None:
    from headroom.reconcile_text import report_lines

    for line in report_lines(done):
        console.print(line, highlight=False)
