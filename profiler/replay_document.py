"""A replay's verdict as a JSON document."""

from __future__ import annotations

import dataclasses

from policy.behaviour import Fact
from policy.replay import Replayed
from policy.sandbox.denial import Denial
from policy.wording import behaviour_in_words

SCHEMA_VERSION = 1


def replay_document(replayed: Replayed) -> dict[str, object]:
    """Return the document that ``replay --json`` prints."""
    return {"schema_version": SCHEMA_VERSION, **replay_fields(replayed)}


def replay_fields(replayed: Replayed) -> dict[str, object]:
    """Return the verdict without the frame of a document."""
    return {
        "judged": replayed.judged,
        "blocked": [denial_document(denial) for denial in replayed.blocked],
        "changed": [denial_document(denial) for denial in replayed.changed],
        "still_refused": [denial_document(denial) for denial in replayed.still_refused],
    }


def denial_document(denial: Denial) -> dict[str, object]:
    """Return one denial: the fact, the setting to blame, and what the service would see."""
    return {
        **fact_document(denial.fact),
        "outcome": denial.outcome,
        "directive": denial.directive,
        "setting": denial.setting,
        "note": denial.note,
    }


def fact_document(fact: Fact) -> dict[str, object]:
    """Return one fact."""
    return {
        "kind": type(fact.behaviour).__name__,
        "behaviour": dataclasses.asdict(fact.behaviour),
        "words": behaviour_in_words(fact.behaviour),
        "recorded_outcome": fact.outcome,
        "phase": fact.phase,
        "exec_line": fact.exec_line,
        "user": fact.user,
        "evidence": fact.evidence,
    }
