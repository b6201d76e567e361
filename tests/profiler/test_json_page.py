"""``docs/json.md`` lists every field of every answer, and no other: compared with what the commands print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.behaviour import Fact, SystemCall
from policy.blame import Blame
from policy.drop_in import DropIn, Setting
from policy.relax import Relaxation
from policy.replay import replay
from policy.sandbox.denial import Denial
from profiler import profile_file, twin
from profiler.cli import run_command_line
from profiler.documents import (
    applied_document,
    hardening_document,
    planned_document,
    recording_document,
    validation_document,
)
from profiler.generation import generate
from profiler.plan import plan_document
from profiler.record import Recorded
from profiler.target import target
from profiler.validate.installed import Pending
from profiler.validate.relaxing import Relaxed
from profiler.validate.transaction import Applied
from profiler.validate.validation import Verdict
from tests.policy.services import web_server
from tests.profiler.test_plan import PLAN
from tests.system.conftest import COMMAND
from tests.twin_fixtures import require_twin

HOST = ("--systemd", "252")
DENIALS = ("blocked[]", "changed[]", "still_refused[]", "refused[]", "denials[]")
DENIED = Denial(Fact(SystemCall("reboot")), "SystemCallFilter", "SystemCallFilter=read", "EPERM")


def tables(page: str) -> dict[str, set[str]]:
    """Return the fields in the first column of each section's table; those of a denial under "denial"."""
    found: dict[str, set[str]] = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        for number, table in enumerate(re.split(r"^\| field \| meaning \|\n", body, flags=re.MULTILINE)[1:]):
            rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
            fields = {field for row in rows for field in re.findall(r"`([^`]+)`", row)}
            found["denial" if number else title.strip()] = fields
    return found


@pytest.fixture(scope="module")
def documented(repository: Path) -> dict[str, set[str]]:
    return tables((repository / "docs" / "json.md").read_text(encoding="utf-8"))


def paths(value: object, prefix: str = "") -> Iterator[str]:
    """Yield the path of everything in an answer, in the notation of the page."""
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{prefix}.{key}" if prefix else key
            if not isinstance(inner, list | dict):
                yield path
            yield from paths(inner, path)
    elif isinstance(value, list):
        yield f"{prefix}[]"
        for inner in value:
            if not prefix.endswith(tuple(name.removesuffix("[]") for name in DENIALS)):
                yield from paths(inner, f"{prefix}[]")


def denials(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (inner if f"{key}[]" in DENIALS else denials(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from denials(inner)


def matches(path: str, fields: set[str]) -> bool:
    return path in fields or any(field.endswith(".*") and path.startswith(field[:-1]) for field in fields)


def assert_documented(answer: object, fields: set[str], denial: set[str]) -> None:
    """Every field of the answer is in the table; every field of the table is in the answer, or below an empty list."""
    shown = set(paths(answer))
    assert [path for path in sorted(shown) if not matches(path, fields)] == []
    absent = [
        field
        for field in fields
        if not field.endswith(".*") and field not in shown and not any(one.startswith(f"{field}.") for one in shown)
    ]
    empty = {path for path in shown if path.endswith("[]") and not any(p.startswith(f"{path}.") for p in shown)}
    null = {path for path in shown if f"{path}." in " ".join(fields)}
    assert [field for field in sorted(absent) if not field.startswith(tuple(empty | null))] == []
    for one in denials(answer):
        assert [path for path in sorted(paths(one)) if not matches(path, denial)] == []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    profile_file.write_profile(tmp_path / "a.profile", web_server())
    (tmp_path / "a.conf").write_text("[Service]\nProtectSystem=full\nCapabilityBoundingSet=\n")
    (tmp_path / "b.conf").write_text("[Service]\nProtectSystem=strict\nCapabilityBoundingSet=CAP_KILL\n")
    return tmp_path


CALLS = {
    "generate": (["generate", "a.profile", *HOST], 0),
    "explain": (["explain", "a.profile", *HOST], 0),
    "report": (["report", "a.profile", "a.conf", *HOST], 0),
    "replay": (["replay", "a.profile", "a.conf", *HOST], 3),
    "check": (["check", "a.profile", "a.conf", *HOST], 3),
    "diff": (["diff", "a.conf", "b.conf", *HOST], 1),
    "merge": (["merge", "a.profile", "-o", "m.profile"], 0),
}


@pytest.mark.parametrize("name", CALLS)
def test_answers_are_as_documented(
    name: str, place: Path, documented: dict[str, set[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    words, status = CALLS[name]
    assert run_command_line([*words, "--json=short"]) == status
    answer = json.loads(capsys.readouterr().out)
    assert next(iter(answer)) == "schema_version"
    assert_documented(answer, documented[name], documented["denial"])
    assert run_command_line([*words[:1], "--json", *words[1:], *(["--force"] if name == "merge" else [])]) == status
    assert json.loads(capsys.readouterr().out) == answer  # --json alone, in front of a file, is pretty


def test_doctor_is_as_documented(documented: dict[str, set[str]], capsys: pytest.CaptureFixture[str]) -> None:
    run_command_line(["doctor", "--json"])
    assert_documented(json.loads(capsys.readouterr().out), documented["doctor"], documented["denial"])


def test_answers_about_services_are_as_documented(documented: dict[str, set[str]]) -> None:
    profile = web_server()
    recorded = Recorded(profile, lines=7)
    drop_in = DropIn((Setting("ProtectSystem", "full", ("because",)),))
    change = Relaxation("ReadWritePaths", ("/srv",), True, "because")
    verdict = Verdict("it fell over", (DENIED,), warnings=("Unknown key",))
    blamed = (Blame("ProtectSystem=full", (DENIED,), drop_in.settings, (change,)),)
    relaxed = Relaxed(drop_in, verdict, (change,), blamed=blamed)
    generated = generate(profile, target(252))
    replayed = replay(profile, (("CapabilityBoundingSet", ""),), target(252))
    answers = {
        "record": recording_document(recorded, Path("a.profile")),
        "validate": validation_document("a.service", relaxed, Path("a.conf")),
        "harden": hardening_document(recorded, (Path("a.profile"), Path("a.conf")), generated, replayed, relaxed),
        "--dry-run": plan_document(PLAN),
        "apply and revert with --dry-run": planned_document("a.service", removes=["/etc/x"], restarts=["a.service"]),
        "apply": applied_document("a.service", Applied(pending=Pending("r", "t", 1.0, "a.service")), "/etc/x"),
    }
    for name, answer in answers.items():
        assert_documented(json.loads(json.dumps(answer)), documented[name], documented["denial"])


def test_no_command_with_json_is_left_out(documented: dict[str, set[str]]) -> None:
    from profiler.cli import group

    context = group.make_context("unit-tailor", ["doctor"], resilient_parsing=True)
    with_json = set()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = getattr(command, "commands", None) or {"": command}
        with_json |= {
            f"{name} {sub}".strip()
            for sub, one in inner.items()
            if any("--json" in parameter.opts for parameter in one.params)
        }
    assert with_json == set(documented) - {"denial", "--dry-run", "apply and revert with --dry-run"}


@pytest.mark.long
def test_a_whole_life_in_json(documented: dict[str, set[str]]) -> None:
    require_twin()
    with twin.up(visible=(COMMAND.parents[2],)) as machine:
        machine.path("/etc/systemd/system/tailor-json.service").write_text(
            "[Service]\nExecStart=/bin/sh -c 'while :; do date > /srv/now; sleep 0.2; done'\n"
        )
        machine.run(["systemctl", "daemon-reload"])
        machine.run(["systemctl", "start", "tailor-json"])

        def ask(name: str, *words: str, status: int = 0) -> dict[str, object]:
            run = machine.run([str(COMMAND), *name.split(), *words, "--json=short"], check=False)
            assert run.status == status, run.stdout + run.stderr
            answer = json.loads(run.stdout)
            assert_documented(answer, documented[name], documented["denial"])
            return dict(answer)

        ask("harden", "tailor-json", "--for", "1s", "-o", "/root/hardened")
        ask("record", "tailor-json", "--for", "1s", "-o", "/root/one.profile")
        ask("generate", "/root/one.profile", "-o", "/root/one.conf")
        ask("validate", "tailor-json", "/root/one.conf")
        machine.path("/root/bad.conf").write_text("[Service]\nProtectSystem=strict\nReadOnlyPaths=/srv\n")
        ask("apply", "tailor-json", "/root/one.conf", "--confirm-within", "5min")
        ask("status")
        ask("confirm", "tailor-json")
        ask("why", "tailor-json", "--for", "1s")
        ask("revert", "tailor-json")
        ask("validate", "tailor-json", "/root/bad.conf", status=3)
        ask("twin list")
