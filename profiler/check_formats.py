"""What ``check`` found, for people, for test reports (JUnit) and for code scanners (SARIF 2.1.0).

SARIF: OASIS Standard "Static Analysis Results Interchange Format Version 2.1.0". JUnit: the elements that Jenkins,
GitLab and GitHub's actions read; there is no standard.
"""

from __future__ import annotations

import json
from enum import StrEnum
from xml.etree import ElementTree

from policy.drift import Drift
from policy.drop_in import DropIn
from policy.level import Level
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from policy.wording import denial_in_words
from profiler.difference_words import difference_document, slack_in_words
from profiler.documents import Document, document
from profiler.messages import replay_summary
from profiler.replay_document import replay_fields
from profiler.terminal import printable
from profiler.version import VERSION

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

RULES = {
    "blocked": "A recorded fact would be blocked by the drop-in",
    "slack": "A setting could be tighter and still allow all that was recorded",
}


class Format(StrEnum):
    """How the result is written."""

    TEXT = "text"
    JUNIT = "junit"
    SARIF = "sarif"


def render(drift: Drift, wanted: Format, drop_in: DropIn, path: str) -> str:
    """Return the result in a format, with a line end at its end. ``path`` is the drop-in's."""
    if wanted is Format.JUNIT:
        return _junit(drift, path)
    if wanted is Format.SARIF:
        return json.dumps(_sarif(drift, drop_in, path), indent=2) + "\n"
    return "".join(f"{printable(line)}\n" for line in _lines(drift))


def check_document(drift: Drift, profile: Profile, level: Level, drop_in: DropIn) -> Document:
    """Return what ``check --json`` prints."""
    return document(
        unit=profile.header.unit.name,
        level=level,
        fits=not drift.replayed.denials,
        **replay_fields(drift.replayed),
        slack=[{**difference_document(one), "line": line_of(one.directive, drop_in)} for one in drift.slack],
    )


def line_of(directive: str, drop_in: DropIn) -> int:
    """Return the line of a directive's last assignment in a drop-in, 1 if it has none."""
    return max((one.line for one in drop_in.settings if one.name == directive), default=0) or 1


def _lines(drift: Drift) -> list[str]:
    lines = [f"blocked: {denial_in_words(denial)}" for denial in drift.replayed.denials]
    lines += [f"could be tighter: {slack_in_words(one)}" for one in drift.slack]
    return [*lines, f"{replay_summary(drift.replayed)}; {len(drift.slack)} settings could be tighter"]


def _junit(drift: Drift, path: str) -> str:
    blocked: dict[str, list[Denial]] = {}
    for denial in drift.replayed.denials:
        blocked.setdefault(denial.directive, []).append(denial)
    slack = {one.directive: one for one in drift.slack}
    names = sorted({*blocked, *slack}) or ["drift"]
    suite = ElementTree.Element(
        "testsuite",
        name=f"unit-tailor check {printable(path)}",
        tests=str(len(names)),
        failures=str(len({*blocked, *slack})),
        errors="0",
    )
    for name in names:
        case = ElementTree.SubElement(suite, "testcase", classname="unit-tailor", name=f"{name}=", file=printable(path))
        said = [denial_in_words(denial) for denial in blocked.get(name, ())]
        said += [slack_in_words(slack[name])] if name in slack else []
        if said:
            kind = "blocked" if name in blocked else "slack"
            failure = ElementTree.SubElement(case, "failure", type=kind, message=printable(said[0]))
            failure.text = "\n".join(map(printable, said))
    text = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _sarif(drift: Drift, drop_in: DropIn, path: str) -> Document:
    results = [
        _result("blocked", "error", denial_in_words(denial), path, line_of(denial.directive, drop_in))
        for denial in drift.replayed.denials
    ]
    results += [
        _result("slack", "warning", slack_in_words(one), path, line_of(one.directive, drop_in)) for one in drift.slack
    ]
    rules = [{"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()]
    tool = {"driver": {"name": "unit-tailor", "version": VERSION, "rules": rules}}
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": tool, "results": results}]}


def _result(rule: str, level: str, text: str, path: str, line: int) -> Document:
    place = {"artifactLocation": {"uri": _uri(path)}, "region": {"startLine": line}}
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": printable(text)},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path, errors="surrogateescape")
