"""The documentation of all directives, made from their classes: ``docs/directives.md``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

from policy.directives.base import Directive
from policy.wording import behaviour_in_words

HEADING = """\
# Directives

This page is made from the classes in `policy/directives` by `tools/document_directives.py`; a test fails when it is
stale. *Since* is the first systemd version that understands the directive, or the value. What is not enforced on a
target (a missing build option, an old kernel) is neither proposed there nor counted.

The level is `compatible`, `standard` (the default) or `strict`; unless something else is said here, a directive is
decided in the same way at all levels, by the facts alone.
"""


def render(directives: Mapping[str, type[Directive]]) -> str:
    """Return the page in Markdown for these classes, in their order."""
    parts = [HEADING, "\n".join(_index(directives))]
    parts += ["\n".join(_section(name, kind)) for name, kind in directives.items()]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _index(directives: Mapping[str, type[Directive]]) -> Iterable[str]:
    yield "| directive | what it does | since | manual |"
    yield "|---|---|--:|---|"
    for name, kind in directives.items():
        since = min(kind.since.values())
        yield f"| [{name}=](#{name.lower()}) | {_cell(kind.summary)} | {_version(since)} | {_cell(kind.manual)} |"


def _section(name: str, kind: type[Directive]) -> Iterable[str]:
    yield f"## {name}="
    yield ""
    yield _text(kind.__doc__ or "")
    yield ""
    yield "| value | since | takes away, for instance |"
    yield "|---|--:|---|"
    for value in dict.fromkeys((*kind.since, *kind.denied_examples)):
        if value or value in kind.denied_examples or len(kind.since) == 1:
            yield _row(value, kind)
    if kind.levels:
        yield ""
        yield f"Levels: {kind.levels}."
    if kind.needs:
        yield ""
        yield f"Needs systemd built with {', '.join(kind.needs)}{_libraries(kind)}."


def _libraries(kind: type[Directive]) -> str:
    return f", and {', '.join(kind.loads)} installed" if kind.loads else ""


def _text(docstring: str) -> str:
    first, _, rest = docstring.strip().partition("\n")
    return f"{first}\n{textwrap.dedent(rest)}".strip()


def _row(value: str, kind: type[Directive]) -> str:
    example = kind.denied_examples.get(value)
    words = behaviour_in_words(example.behaviour) if example else ""
    since = kind.since.get(value, kind.since.get("", min(kind.since.values())))
    return f"| {f'`{value}`' if value else '(list)'} | {_version(since)} | {_cell(words)} |"


def _version(since: int) -> str:
    return "always" if since <= 1 else str(since)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
