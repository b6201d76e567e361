"""A plan as lines and as a document."""

from __future__ import annotations

import json
from pathlib import Path

from profiler.plan import Change, Place, Plan, Stage, plan_document, plan_in_words

CHANGE = Change("/run/x.conf", "it is on trial", "removed afterwards")
PLAN = Plan(
    Place("a twin", "asked for", ("redis",), (Path("/tmp/here"),)),
    "strace",
    ("ebpf cannot be used: no",),
    (Stage("record a.service", ("start it", "stop it"), 1, (CHANGE,)), Stage("cut", ()), Stage("validate", ("go",), 2)),
    (Path("a\n.profile"),),
    unit="a.service",
    remarks=("more is not known",),
)


def test_lines() -> None:
    assert plan_in_words(PLAN) == [
        "would work on a twin: asked for",
        "would install in it, not on this host: redis",
        "would show it, read-only: /tmp/here",
        "would record with strace: ebpf cannot be used: no",
        "would record a.service:",
        "  1. start it",
        "  2. stop it",
        "  meanwhile /run/x.conf: it is on trial; removed afterwards",
        "would cut",
        "would validate:",
        "  1. go",
        "would start a.service 3 times at least",
        r"would write a\n.profile",
        "note: more is not known",
        "nothing was done",
    ]


def test_what_is_only_watched_is_not_started() -> None:
    plan = Plan(Place("this host", "it is"), "ebpf", ("best",), (Stage("watch", ("watch",)),), (), unit="a.service")
    assert "would start and stop nothing: a.service runs on" in plan_in_words(plan)


def test_document() -> None:
    document = plan_document(PLAN)
    assert (document["starts"], document["workload"], document["files"]) == (3, None, ["a\n.profile"])
    assert json.loads(json.dumps(document))["stages"][0]["changes"][0]["undone"] == "removed afterwards"
