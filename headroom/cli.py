"""The command line: the functions that the DAGs call, for people and scripts."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from headroom import cli_boost, cli_cloud, cli_forecast, cli_loop, cli_replay, cli_stack
from headroom.errors import HeadroomError

__all__ = ["app", "main"]

app = typer.Typer(
    name="headroom",
    help="Capacity before demand: forecast 72 hours, plan, and reserve Google Cloud capacity ahead of need.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
cli_stack.register(app)
cli_loop.register(app)
cli_cloud.register(app)
cli_boost.register(app)
cli_forecast.register(app)
cli_replay.register(app)


def main() -> None:
    """Run a command; an error of ours is one clear message and exit code 1, never a stack trace."""
    try:
        app()
    except HeadroomError as error:
        Console(stderr=True).print(f"headroom: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("headroom: interrupted", style="red")
        sys.exit(130)


if __name__ == "__main__":
    main()
