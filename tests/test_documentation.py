"""The documentation is true where a machine can tell: commands and options exist, links and tables are right."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from profiler.cli import group
from profiler.errors import MEANINGS

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
CONTEXT = click.Context(group, info_name="unit-tailor", **group.context_settings)
TYPED = re.compile(r"(?:^ {4}(?:\$ )?|`)(?:sudo )?(unit-tailor [a-z][^`\n|#]*)", re.MULTILINE)


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(CONTEXT):
        command = group.get_command(CONTEXT, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=CONTEXT)
        yield name, command, context
        for inner_name, inner in command.commands.items() if isinstance(command, click.Group) else ():
            yield f"{name} {inner_name}", inner, click.Context(inner, info_name=inner_name, parent=context)


def _name(one: object) -> str:
    return one if isinstance(one, str) else ""


@pytest.mark.parametrize(("name", "command", "context"), list(commands()), ids=_name)
def test_every_command_has_help_with_an_example(name: str, command: click.Command, context: click.Context) -> None:
    shown = command.get_help(context)
    examples = re.split(r"^ +Examples?:\n", shown, flags=re.MULTILINE)
    assert len(examples) == 2, f"{name} --help has no paragraph Example:"
    first = examples[1].splitlines()[0].strip()
    assert f"unit-tailor {name.split(maxsplit=1)[0]}" in first
    assert "--json" not in shown or any("--json" in parameter.opts for parameter in command.params)
    assert "--no-pager" in shown


def _options(command: click.Command) -> Iterator[str]:
    for parameter in (*command.params, *group.params):
        yield from (*parameter.opts, *parameter.secondary_opts)


def typed_commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for match in TYPED.finditer(page.read_text(encoding="utf-8")):
            yield page.name, match[1].strip()


@pytest.mark.parametrize(("page", "line"), sorted(set(typed_commands())), ids=str)
def test_commands_in_the_documentation_exist_with_their_options(page: str, line: str) -> None:
    try:
        words = shlex.split(line.rstrip("\\."))
    except ValueError:
        words = line.split()
    known = {name: set(_options(command)) for name, command, _ in commands()}
    name = words[1].rstrip(",;:.)")
    options = known.get(f"{name} {words[2]}" if len(words) > 2 else "", known.get(name))
    if words[1].isupper() or "|" in line:
        return  # a placeholder
    assert options is not None, f"{page}: there is no command {name!r}"
    end = words.index("--") if "--" in words else len(words)
    for word in words[2:end]:
        if word.startswith("--"):
            option = word.partition("=")[0].rstrip(",;:.)")
            assert option in {*options, "--help"}, f"{page}: {name} has no option {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, target


def test_the_readme_names_all_commands_and_all_pages() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for name in group.list_commands(CONTEXT):
        assert re.search(rf"`{name}\b", text), name
    for page in PAGES[1:]:
        assert f"docs/{page.name}" in text, page.name


def test_the_readme_has_the_exit_codes() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, flags=re.MULTILINE))
    assert table == {str(int(code)): meaning for code, meaning in MEANINGS.items()}
