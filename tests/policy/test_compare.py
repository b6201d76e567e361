"""Two recordings of one use: what counts as the drop-in's doing, and what does not."""

from __future__ import annotations

from policy.behaviour import OK, Access, Fact, FileKind, PathUse, SocketAddress, SystemCall
from policy.compare import denied_under
from tests.policy.services import HOST, profile

STRICT = [("ProtectSystem", "strict")]


def create(path: str, outcome: str = OK) -> Fact:
    return Fact(PathUse(path, Access.CREATE, FileKind.REGULAR), outcome)


def call(name: str, outcome: str = OK) -> Fact:
    return Fact(SystemCall(name), outcome)


def denied(before: list[Fact], after: list[Fact]) -> set[str]:
    return {denial.outcome for denial in denied_under(STRICT, profile(after), HOST, profile(before))}


def test_what_worked_and_is_refused_now_is_denied() -> None:
    found = denied_under(STRICT, profile([create("/srv/x", "EROFS")]), HOST, profile([create("/srv/x")]))
    assert [denial.setting for denial in found] == ["ProtectSystem=strict"]
    assert denied([call("bpf")], [call("bpf", "EPERM")]) == {"EPERM"}


def test_what_was_refused_already_may_be_refused_otherwise() -> None:
    assert denied([create("/srv/x", "EACCES")], [create("/srv/x", "EROFS")]) == set()
    assert denied([create("/srv/x", "EACCES"), create("/srv/x")], [create("/srv/x", "EROFS")]) == {"EROFS"}
    assert denied([create("/srv/x", "ENOENT")], [create("/srv/x", "EROFS")]) == {"EROFS"}


def test_the_call_behind_a_path_is_told_by_the_path() -> None:
    assert denied([create("/srv/x", "EACCES"), call("openat")], [call("openat", "EROFS")]) == set()


def test_waiting_that_times_out_is_no_refusal() -> None:
    assert denied([call("futex")], [call("futex", "ETIMEDOUT")]) == set()
    assert denied([call("connect")], [call("connect", "ETIMEDOUT")]) == {"ETIMEDOUT"}
    met = SocketAddress("connect", "AF_INET", "SOCK_STREAM", "192.0.2.1", 80)
    assert denied([Fact(met)], [Fact(met, "ETIMEDOUT")]) == {"ETIMEDOUT"}


def test_what_is_nowhere_is_not_hidden() -> None:
    hidden = [("ProtectHome", "tmpfs")]
    after = profile([Fact(PathUse(f"/root/{name}", Access.LOOKUP), "ENOENT") for name in ("there", "nowhere")])

    def found(before: list[Fact] | None = None) -> list[str]:
        recorded = profile(before) if before else None
        denials = denied_under(hidden, after, HOST, recorded, is_absent=lambda path: path == "/root/nowhere")
        return [denial.fact.behaviour.path for denial in denials if isinstance(denial.fact.behaviour, PathUse)]

    assert found() == ["/root/there"]
    assert found([Fact(PathUse("/root/nowhere", Access.LOOKUP), OK)]) == ["/root/nowhere", "/root/there"]
