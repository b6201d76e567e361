"""What this machine can do for us: findings, and what follows from them. Nothing is changed by looking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

SCHEMA_VERSION = 1
"""Of ``document``; raised when a reader of an older one would misunderstand it."""


class Purpose(StrEnum):
    """What something is needed for."""

    EVERYTHING = "everything"
    HOST = "work on this host"
    TWIN = "work in a twin"
    EXTRA = "extras"


@dataclass(frozen=True)
class Finding:
    """One thing that is there or is missing: ``reason`` says what was found, or why not; ``remedy`` what to type."""

    name: str
    ok: bool
    reason: str
    remedy: str = ""
    purpose: Purpose = Purpose.EVERYTHING


@dataclass(frozen=True)
class Verdict:
    """Whether services can be studied here, and that in words."""

    possible: bool
    words: str


def judge(findings: Sequence[Finding]) -> Verdict:
    """Return what these findings mean for the main job: record, generate, replay, validate."""
    lacking = [finding.name for finding in findings if finding.purpose is Purpose.EVERYTHING and not finding.ok]
    if lacking:
        return Verdict(False, f"services cannot be studied here, for want of: {', '.join(lacking)}")
    host, twin = (
        all(finding.ok for finding in findings if finding.purpose is purpose)
        for purpose in (Purpose.HOST, Purpose.TWIN)
    )
    if host and twin:
        return Verdict(True, "services can be studied on this host, and in a twin of it (--twin)")
    if host:
        return Verdict(True, "services can be studied on this host, but not in a twin of it")
    if twin:
        return Verdict(True, "services can be studied in a twin of this machine, which is the default here")
    return Verdict(False, "services cannot be studied here: neither on this host nor in a twin of it")


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """Return everything as plain values for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        **asdict(judge(findings)),
        "findings": [asdict(finding) for finding in findings],
    }
