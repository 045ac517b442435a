"""The command `hft`. A command's module is imported only when it is used, so that `--help` is quick.

Errors that hft raises on purpose are printed without a traceback and decide the exit code; anything
else is a defect of ours: its traceback goes to a file, and the exit code is 70.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import click

from hft_core.errors import DISK_ERRNOS, DiskError, HftError

# Name, and its line in `hft --help`.
_COMMANDS = {
    "run": "Carry out a recipe: from raw files to a verified bundle.",
    "check": "Check a recipe against what is installed, without running anything.",
    "inspect": "Say what is wrong with some data: leakage, repeats, conflicts, odd rows.",
    "plan": "Show what a run would do, and why.",
    "ablate": "Measure what each part of a recipe is worth.",
    "search": "Try values for a recipe's fields, and carry out the best.",
    "tune": "Diagnose, change one thing, compare; keep what helps.",
    "report": "Write a run's report and model card again, from what it measured.",
    "compare": "Put runs side by side: figures, paired differences, recipes, cost.",
    "export": "Export a finished run's model again, or for the first time.",
    "predict": "Predict with a bundle, without torch.",
    "evaluate": "Measure a bundle on new labelled rows, without torch.",
    "verify": "Check a bundle: checksums and golden rows.",
    "plugins": "List plugins and their components, or why one is not loaded.",
    "new": "Begin a recipe, or a plugin of your own.",
    "lock": "Write down the versions that a recipe runs with here.",
    "doctor": "Say what this machine and installation can do, what is wrong, and what to do.",
    "schema": "Print the JSON Schema of recipes, for editors.",
    "gc": "Remove stored outputs that no run folder refers to.",
}


class _Commands(click.Group):
    """Looks commands up by name, importing nothing for the list."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"hft_core.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from difflib import get_close_matches

        if args and args[0] not in _COMMANDS:
            near = get_close_matches(args[0], _COMMANDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"there is no command {args[0]!r}{hint} Commands: {', '.join(_COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _version(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"hft {version('hft-core')}")
        ctx.exit()


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Print the version."
)
def cli() -> None:
    """hft: hybrid fine-tuning of language models, from raw text to a verified ONNX bundle.

    \b
    Begin with:  hft run examples/quickstart/recipe.yaml
    """


def main() -> NoReturn:
    """Run the command line; exits with the codes that docs/exit-codes.md lists."""
    try:
        cli.main(standalone_mode=False, prog_name="hft")
        sys.exit(0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _fail("interrupted; run the same command to continue", 130)
    except HftError as error:
        if error.told:
            sys.exit(error.exit_code)
        _fail(str(error), error.exit_code)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        _fail("out of memory; use a smaller batch (micro_batch) or a bigger machine", 6)
    except OSError as error:
        if error.errno in DISK_ERRNOS:
            _fail(f"{error.filename or 'the disk'}: {error.strerror}; free some space", DiskError.exit_code)
        _defect(error)
    except Exception as error:
        _defect(error)


def _fail(message: str, code: int) -> NoReturn:
    for line in message.splitlines() or [""]:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {line}", err=True)
    sys.exit(code)


def _defect(error: Exception) -> NoReturn:
    """Something that should not happen: keep the traceback, and say where it is."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", suffix=".log", prefix="hft-", delete=False, encoding="utf-8") as stream:
        stream.write(text)
    where = traceback.extract_tb(error.__traceback__)[-1]
    _fail(
        f"{type(error).__name__}: {error} (in {where.filename}, line {where.lineno}). This is a defect of hft or of a plugin; "
        f"the traceback is in {stream.name}",
        HftError.exit_code,
    )
