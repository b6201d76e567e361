"""Manual pages, made from what the commands say of themselves: one for the whole and one for each command.

The language is man(7). ``tools/make_manual.py`` writes them to ``docs/man``, and a test tells when that is to be done.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping

import click

from profiler.errors import MEANINGS
from profiler.version import VERSION

NAME = "unit-tailor"

ENVIRONMENT = {
    "SYSTEMD_COLORS": "Whether to colour what is shown: 0 or 1. Decides if set.",
    "NO_COLOR": "If set to anything, nothing is coloured.",
    "SYSTEMD_PAGER, PAGER": "The pager for a terminal; empty or cat for none. Default: less.",
    "SYSTEMD_LESS": "The options of less. Default: FRSXMK.",
    "SYSTEMD_PAGERSECURE": "Whether the pager must not start programs. Default: yes under sudo(8).",
}

FILES = {
    "/etc/systemd/system/UNIT.d/zz-unit-tailor.conf": "A drop-in that apply has installed for good.",
    "/run/systemd/system.control/UNIT.d/zz-unit-tailor.conf": "A drop-in on trial, until confirm or its time is over.",
    "/run/systemd/system/UNIT.d/zzz-unit-tailor-test.conf": "A drop-in under test.",
    "/run/unit-tailor": "Notes about tests and trials under way, by which systemd puts a service back by itself.",
}


def pages(group: click.Group) -> Mapping[str, str]:
    """Return all pages by the names of their files."""
    context = click.Context(group, info_name=NAME, **group.context_settings)
    found = {f"{NAME}.1": _main_page(group, context)}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            inner = click.Context(command, info_name=name, parent=context)
            found[f"{NAME}-{name}.1"] = _command_page(command, inner, name)
    return found


def _main_page(group: click.Group, context: click.Context) -> str:
    rows = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        rows.append((f"{NAME}-{name}(1)", first_sentence(_help(command)) if command else ""))
    lines = [*_head(NAME, _help(group)), *_synopsis(group, context), *_description(_help(group))]
    lines += [*_options(group, context), *_section("COMMANDS", _definitions(rows))]
    lines += _section("ENVIRONMENT", _definitions(ENVIRONMENT.items()))
    lines += [*_section("FILES", _definitions(FILES.items())), *_exit_status()]
    lines += _section("SEE ALSO", [r"systemd.exec(5), systemd.resource\-control(5), systemd\-analyze(1)"])
    return _joined(lines)


def _command_page(command: click.Command, context: click.Context, name: str) -> str:
    text = _help(command)
    lines = [*_head(f"{NAME}-{name}", text), *_synopsis(command, context), *_description(text)]
    lines += _options(command, context)
    for inner_name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        inner_context = click.Context(inner, info_name=inner_name, parent=context)
        lines += [f'.SH "{_escaped(inner_name).upper()}"', *_usage(inner, inner_context)]
        lines += [".PP", *_paragraphs(_help(inner)), *_option_list(inner, inner_context)]
    return _joined([*lines, *_exit_status(), *_section("SEE ALSO", [rf"{_escaped(NAME)}(1)"])])


def _help(command: click.Command) -> str:
    # Without the indentation of the source, which Python keeps in docstrings up to 3.12.
    return inspect.cleandoc(command.help or "")


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text, without its full stop."""
    return " ".join(text.split("\n\n", maxsplit=1)[0].split()).partition(". ")[0].rstrip(".")


def _head(title: str, text: str) -> list[str]:
    return [
        ".\\\" Made by tools/make_manual.py from the commands' own help: do not edit.",
        f'.TH "{_escaped(title).upper()}" "1" "" "{NAME} {VERSION}" "User Commands"',
        ".SH NAME",
        f"{_escaped(title)} \\- {_escaped(first_sentence(text))}",
    ]


def _synopsis(command: click.Command, context: click.Context) -> list[str]:
    return [".SH SYNOPSIS", *_usage(command, context)]


def _usage(command: click.Command, context: click.Context) -> list[str]:
    return [f"\\fB{_escaped(context.command_path)}\\fR {_escaped(' '.join(command.collect_usage_pieces(context)))}"]


def _description(text: str) -> list[str]:
    plain, _, examples = text.partition("\b\n")
    title, _, commands = examples.partition("\n")
    lines = [".SH DESCRIPTION", *_paragraphs(plain)]
    if not examples:
        return lines
    return [*lines, f".SH {'EXAMPLES' if title.startswith('Examples') else 'EXAMPLE'}", *_as_typed(commands)]


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(part for part in text.split("\n\n") if part.strip()):
        if paragraph.lstrip().startswith("\b"):
            _, _, commands = paragraph.lstrip("\b\n ").partition("\n")
            yield from _as_typed(commands)
            continue
        yield from [".PP"] if number else []
        yield _line(" ".join(paragraph.split()))


def _as_typed(commands: str) -> list[str]:
    return [".nf", *(_line(line.strip()) for line in commands.splitlines() if line.strip()), ".fi"]


def _options(command: click.Command, context: click.Context) -> list[str]:
    return [".SH OPTIONS", *_option_list(command, context)]


def _option_list(command: click.Command, context: click.Context) -> list[str]:
    options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    records = (option.get_help_record(context) for option in options)
    return _definitions(record for record in records if record is not None)


def _definitions(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = []
    for name, text in rows:
        lines += [".TP", f"\\fB{_escaped(name)}\\fR", _line(" ".join(text.split()))]
    return lines


def _exit_status() -> list[str]:
    return _section("EXIT STATUS", _definitions((str(int(code)), text) for code, text in MEANINGS.items()))


def _section(title: str, lines: list[str]) -> list[str]:
    return [f".SH {title}", *lines]


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _line(text: str) -> str:
    escaped = _escaped(text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    return re.sub(r"[\\-]", lambda match: "\\e" if match[0] == "\\" else "\\-", text)
