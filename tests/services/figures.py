"""All small services studied, as plain values for ``build/report.json``, and as a block of ``docs/results.md``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from profiler import twin
from profiler.engines.choice import Engine
from tests.services.fixture import SERVICES
from tests.services.oracle import read_answers
from tests.services.study import study
from tests.twin_fixtures import CHECKOUT


@dataclass(frozen=True)
class Figure:
    """One service: what was generated for it against what is expected of it and against the oracle's answer."""

    name: str
    about: str
    decoy_for: str
    explained: str
    when: str
    engine: str
    needed: str
    generated: str
    same_capabilities: bool
    differences: tuple[str, ...] = ()
    problem: str = ""
    blocked: int = 0
    oracle: str = ""


def measure_services(engine: Engine, when: str, say: Callable[[str], None], *, prove: bool = True) -> list[Figure]:
    """Study every service, in one twin for all; ``prove`` starts each under its drop-in as well."""
    answers = read_answers()
    figures = []
    with twin.up(visible=CHECKOUT) as machine:
        for service in SERVICES:
            studied = study(machine, service, engine=engine, prove=prove)
            answer = answers.get(service.name)
            figures.append(
                Figure(
                    service.name,
                    service.about,
                    service.decoy_for,
                    service.explained,
                    when,
                    str(engine),
                    _words(service.needs.capabilities),
                    _words(studied.generated.capabilities),
                    studied.generated.capabilities == (answer or service.needs).capabilities,
                    tuple(studied.differences(service.needs)),
                    studied.problem,
                    studied.blocked,
                    "not asked" if answer is None else _words(answer.capabilities),
                )
            )
            say(f"{service.name}, {engine}: {studied.problem or '; '.join(figures[-1].differences) or 'as expected'}")
    return figures


def block(figures: Sequence[Figure]) -> str:
    """Return the part of the page on small services; the first recorder's figures are in the table."""
    engines = list(dict.fromkeys(figure.engine for figure in figures))
    others = [_in_short(engine, [one for one in figures if one.engine == engine]) for engine in engines[1:]]
    figures = [figure for figure in figures if figure.engine == engines[0]]
    same = sum(figure.same_capabilities and not figure.problem for figure in figures)
    decoys = [figure for figure in figures if figure.decoy_for]
    fooled = [figure for figure in decoys if any("given, not needed" in one for one in figure.differences)]
    lines = [
        "## Small services with known answers",
        f"{len(figures)} services of `fixtures/services` do one thing each; {len(decoys)} of them are decoys, which "
        "only look as if they needed something.",
        f"- Capabilities are the oracle's (`make oracle`; where it was not asked, those expected) on {same} of"
        f" {len(figures)}: {100 * same / len(figures):.0f} %.",
        f"- Recorded uses blocked by replay: {sum(figure.blocked for figure in figures)}; services that do not work"
        f" under their drop-in: {sum(bool(figure.problem) for figure in figures)}.",
        f"- Decoys that got something they do not need: {', '.join(one.name for one in fooled) or 'none'}.",
        *others,
        "\n".join(_table(figures)),
        *_explanations(figures),
    ]
    count = 5 + len(others)
    return "\n\n".join([*lines[:2], "\n".join(lines[2:count]), *lines[count:]])


def _in_short(engine: str, figures: Sequence[Figure]) -> str:
    same = [figure.same_capabilities and not figure.problem for figure in figures]
    failed = [figure.name for figure in figures if figure.problem]
    return (
        f"- Recorded with {engine}: the oracle's capabilities on {sum(same)} of {len(same)}, "
        f"{sum(figure.blocked for figure in figures)} facts blocked by replay; not recorded: "
        f"{', '.join(failed) or 'none'}."
    )


def _explanations(figures: Sequence[Figure]) -> Iterable[str]:
    explained = [f"- {figure.name}: {figure.explained}." for figure in figures if figure.explained]
    if explained:
        yield "Why what is expected differs from the oracle's answer, or why another answer would do:"
        yield "\n".join(explained)


def _table(figures: Iterable[Figure]) -> Iterable[str]:
    yield "| service | what it does | capabilities needed | the oracle's | given | other differences, problems |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in figures:
        others = "; ".join([*([one.problem] if one.problem else []), *one.differences]) or "none"
        decoy = f"; decoy for {one.decoy_for}" if one.decoy_for else ""
        yield f"| {one.name} | {one.about}{decoy} | {one.needed} | {one.oracle} | {one.generated} | {others} |"


def _words(names: Iterable[str]) -> str:
    return " ".join(name.removeprefix("CAP_") for name in sorted(names)) or "none"
