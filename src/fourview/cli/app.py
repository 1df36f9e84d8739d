"""The program that the verbs belong to, its exit statuses, and how it ends.

Exit status: 0 all exams were read, 1 some were not, 2 wrong set-up, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from fourview.exam import SetupError

SOME_FAILED, WRONG_SETUP, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    help="Reads screening mammograms with deep learning. Research software, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main() -> None:
    """Run the command line; a wrong set-up is one line on stderr."""
    try:
        app()
    except SetupError as error:
        typer.echo(f"fourview: {error}", err=True)
        sys.exit(WRONG_SETUP)
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted before anything was done", err=True)
        sys.exit(INTERRUPTED)


def given_options(context: typer.Context) -> list[str]:
    """The options that stand on the command line, in their long form: those left at their defaults do not."""
    own = [one for one in context.command.params if one.param_type_name == "option"]
    sources = {max(one.opts, key=len): context.get_parameter_source(one.name or "") for one in own}
    return [option for option, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fourview {version('fourview')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
