"""`harness`: sub-commands loaded on first use, errors turned into one message and an exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys
from typing import NoReturn

import click

from harness import __version__
from harness.cli.lazy_commands import LazyCommands
from harness.errors import EXIT_DONE, EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE, HarnessError
from harness.threads import set_waiting

_CLOSED = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP})
"""What a system answers even to the question whether a file is there."""

COMMANDS = {
    "run": "Measure a model on a suite and leave a run folder with a scorecard.",
    "score": "Score a run again from its files; no model is loaded.",
    "gate": "Hold a run against thresholds and a baseline; exit with 1 if a gate fails.",
    "report": "Rebuild a run's scorecard, or show several runs side by side.",
    "view": "Show the runs of a folder in a browser, with their history.",
    "compare": "Hold runs of one suite against each other: differences, what broke, replies side by side.",
    "query": "Ask all runs at once, in SQL.",
    "noise": "Measure how far a model's metrics move when only the batch size or the seed changes.",
    "parity": "Run one suite through several engines: do their texts, verdicts and metrics agree?",
    "plan": "Say what training by a recipe needs: memory, disk, steps, and what would make it fit.",
    "train": "Train an adapter by a recipe, after a preflight; --show, --resume.",
    "sweep": "Score base and checkpoints of a training run and say which to ship.",
    "diagnose": "Say what the curves of a training run show, and what to change.",
    "chat": "Try questions by hand on a base model and its adapters.",
    "merge": "Merge an adapter into its base model, and prove that it answers the same.",
    "export": "Write a run as CSV, Parquet, SQLite or an Inspect log; or check an adapter for a server.",
    "publish": "Upload an adapter to a model hub, with a card that says what was measured.",
    "models": "Fetch and list models.",
    "data": "Check, build and import data sets.",
    "persona": "Bring a character of your own; test the metric that measures it.",
    "suite": "Check suites.",
    "init": "Make a working workspace in a folder.",
    "doctor": "Say what is installed, which engines can run, and what is missing.",
}


@click.group(
    cls=LazyCommands,
    lines=COMMANDS,
    module="harness.cli.{}",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Measure what a fine-tuned model is for: tool calls and persona, base against adapter.

    Exit codes: 0 done, 1 a gate failed, 2 interrupted (resumable), 3 internal error, 4 usage or bad input, 5 nothing
    collected, 6 incomplete or too many errors.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not end a run.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    # Samples are trees freed by reference counts; looking for cycles among them so often is wasted time.
    gc.set_threshold(50_000, 20, 20)
    set_waiting()
    sys.exit(run_command(arguments))


def run_command(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        result = cli.main(arguments, standalone_mode=False)
        return result if isinstance(result, int) else EXIT_DONE
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except HarnessError as error:
        click.echo(f"error: {_visible(error.one_message())}", err=True)
        return error.exit_code
    except SystemExit as error:
        return _internal_error(RuntimeError(f"something called exit({error.code!r})"))
    except BrokenPipeError:
        # The reader of our output went away (`harness ... | head`): nothing to say, and nowhere to say it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _CLOSED and error.filename is not None:
            click.echo(
                f"error: {_visible(str(error.filename))}: {error.strerror}\n  Check the name and your permissions.",
                err=True,
            )
            return EXIT_USAGE
        return _internal_error(error)


def _visible(text: str) -> str:
    """Return text of files and models as a terminal may get it: no escape sequence of theirs reaches it."""
    from harness.report.text import visible

    return visible(text)


def _internal_error(error: Exception) -> int:
    if os.environ.get("HARNESS_TRACEBACK"):
        raise error
    click.echo(
        f"internal error: {type(error).__name__}: {_visible(str(error))}\n"
        "  This is a defect of the harness. Set HARNESS_TRACEBACK=1 and repeat to see where, and please report it.",
        err=True,
    )
    return EXIT_INTERNAL
