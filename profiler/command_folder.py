"""The verbs of the command line are the files of ``profiler/commands``: found by name, imported only when called."""

from __future__ import annotations

import ast
import difflib
import importlib
from pathlib import Path

import click

from profiler.options import accept_bare_json, add_pager_option

FOLDER = Path(__file__).resolve().parent / "commands"


class CommandFolder(click.Group):
    """A group whose commands are modules: ``dry-run`` is ``commands/dry_run.py``, which has a click ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the names of all commands, sorted."""
        return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command, or return None for a name that is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"profiler.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        if not any("--no-pager" in option.opts for option in command.params):  # imported only now
            inner = command.commands.values() if isinstance(command, click.Group) else ()
            for one in (command, *inner):
                add_pager_option(one)
                if any("--json" in option.opts for option in one.params):
                    accept_bare_json(one)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is asked for; of a misspelled one the error says what was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            close = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not close:
                raise
            ctx.fail(f"no such command {args[0]!r}; did you mean {close[0]!r}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their first line of help, read from the source: ``--help`` imports none of them."""
        rows = [(name, summary(name)) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def summary(name: str) -> str:
    """Return the first sentence of a command's help, or of its module's docstring where that is not in the source."""
    tree = ast.parse((FOLDER / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "command"]
    documented = ast.get_docstring(functions[0]) if functions else None
    first_paragraph = (documented or ast.get_docstring(tree) or "").split("\n\n")[0]
    return " ".join(first_paragraph.split()).partition(". ")[0].rstrip(".")
