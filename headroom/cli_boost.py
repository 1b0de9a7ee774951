"""Commands for services in trouble: give one more weight for a while, and see who has it."""

from __future__ import annotations

from typing import Annotated

import typer

from headroom.console import open_console

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (boost, boosts):
        app.command()(command)


def boost(
    service: Annotated[str, typer.Argument(help="The service in trouble.")],
    lasts: Annotated[str, typer.Option("--for", help="How long, for example 2h or 90min.")],
    why: Annotated[str, typer.Option(help="The reason, kept in the ledger.")],
    start: Annotated[str | None, typer.Option("--from", help="When it begins, UTC. Default: now.")] = None,
) -> None:
    """Give a service more weight for a limited time, from the budget of boosts. The plans of the full hours from its start to its end know of it.

    Example: headroom boost api --for 2h --why "errors above the SLO since 14:00"
    """
    import pandas as pd

    from headroom.errors import BadInputError
    from headroom.issue_time import as_utc
    from headroom.runtime import Runtime
    from infra.boosts import Boost, grant_boost
    from infra.ledger import Ledger

    try:
        length = pd.Timedelta(lasts)
    except ValueError as error:
        raise BadInputError(f"--for {lasts!r}: not a length of time; for example 2h or 90min") from error
    begin = as_utc(start, "--from") if start else pd.Timestamp.now(tz="UTC").floor("min")
    opened = Runtime.open()
    granted = grant_boost(opened.settings, Ledger.open(opened.home.database_url), Boost(service, begin, begin + length, why))
    open_console().print(f"boosted {granted}. Plans of the full hours in between know of it", highlight=False)


def boosts() -> None:
    """Boosts of the last seven days and to come, and the hours that are left of the budget."""
    import pandas as pd

    from headroom.runtime import Runtime
    from infra.boosts import boosts_known, hours_left
    from infra.ledger import Ledger

    console, opened = open_console(), Runtime.open()
    now = pd.Timestamp.now(tz="UTC")
    known = boosts_known(Ledger.open(opened.home.database_url))
    recent = [found for found in known if found.end > now - pd.Timedelta(days=7)]
    for found in recent:
        console.print(str(found), highlight=False)
    if not recent:
        console.print("no boosts", highlight=False)
    left = hours_left(opened.settings, known, now)
    console.print(
        f"{left:g} hours may still be asked for (policy.boost_hours_per_week {opened.settings.policy.boost_hours_per_week:g})",
        highlight=False,
    )
