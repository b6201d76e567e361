"""Disagreements of which the reason is known: where a fact, by its nature, says less than what happened.

Each is a rule with its reason. In all of them the model is at least as strict as the real thing, or a second fact,
which every recording of such a call has, carries the denial; the few others say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from policy.behaviour import Access, CapabilityUsed, NamespaceUsed, PathUse, PrivilegeGained, SocketOpened
from tests.conformance.comparison import Pair


@dataclass(frozen=True)
class Rule:
    """When it applies, and why the model may differ there."""

    applies: Callable[[Pair], bool]
    reason: str


def _denied_but_allowed(pair: Pair) -> bool:
    return pair.denial is not None and pair.after[0] == pair.before[0]


def _is_about(pair: Pair, *directives: str) -> bool:
    return any(f"{name}=" in pair.label for name in directives)


def _blames(pair: Pair, directive: str) -> bool:
    return pair.denial is not None and pair.denial.directive == directive


def _uses(pair: Pair) -> list[PathUse]:
    return [behaviour for behaviour in pair.probe.behaviours if isinstance(behaviour, PathUse)]


def _stat_of_a_cover(pair: Pair) -> bool:
    uses = _uses(pair)
    return bool(uses) and uses[-1].access is Access.LOOKUP and pair.denial is not None and pair.after[0] == "ok"


RULES = (
    Rule(
        lambda pair: pair.probe.name == "system call clone3" and pair.after[0] == "ENOSYS" and pair.denial is None,
        "clone3 without namespaces is not counted as denied: everything that calls it falls back to clone",
    ),
    Rule(
        lambda pair: pair.probe.name == "system call setns" and _is_about(pair, "RestrictNamespaces"),
        "the fact NamespaceUsed of the same call carries the denial",
    ),
    Rule(
        lambda pair: pair.probe.name == "system call landlock_restrict_self" and pair.before[0] == "EPERM",
        "no_new_privs, which a filter implies for services with User=, allows what was refused before",
    ),
    Rule(
        lambda pair: _stat_of_a_cover(pair) and pair.denial is not None and pair.denial.outcome == "EACCES",
        "stat of what covers an inaccessible path works, chdir and access do not; a look-up does not say which it was",
    ),
    Rule(
        lambda pair: _blames(pair, "ProtectProc") and pair.user != 0 and "of tester" in pair.probe.name,
        "processes of the same user stay visible, but a fact does not tell them from those of others",
    ),
    Rule(
        lambda pair: (
            _blames(pair, "PrivateNetwork")
            and any(isinstance(behaviour, SocketOpened) for behaviour in pair.probe.behaviours)
            and pair.after[0] == pair.before[0]
        ),
        "the socket is made, but shows another network: see 'socket AF_NETLINK SOCK_RAW', where the answer is compared",
    ),
    Rule(
        lambda pair: (
            _blames(pair, "PrivateNetwork")
            and _denied_but_allowed(pair)
            and any(use.path.startswith("/sys/class/net") for use in _uses(pair))
        ),
        "without a mount namespace (up to 253) /sys keeps showing the host's interfaces",
    ),
    Rule(
        lambda pair: _denied_but_allowed(pair) and "/dev/probe-fuse" in pair.probe.name and "/dev/fuse" in pair.label,
        "the node has the numbers of a listed one, which the model does not know",
    ),
    Rule(
        lambda pair: _blames(pair, "RemoveIPC") and _denied_but_allowed(pair),
        "takes effect when the service stops, and a fact does not say whose object it was",
    ),
    Rule(
        lambda pair: (
            _blames(pair, "PrivateUsers")
            and _denied_but_allowed(pair)
            and any(isinstance(behaviour, NamespaceUsed | CapabilityUsed) for behaviour in pair.probe.behaviours)
        ),
        "the kernel asks for the capability in the service's own user namespace, which a fact does not say",
    ),
    Rule(
        lambda pair: (
            _blames(pair, "PrivateUsers")
            and any(isinstance(behaviour, PrivilegeGained) for behaviour in pair.probe.behaviours)
            and pair.after[0] == "ok"
        ),
        "the program gains the privileges inside of the user namespace, where they count for nothing outside",
    ),
    Rule(
        lambda pair: (
            pair.denial is None
            and pair.before[0] == "EROFS"
            and pair.probe.name.startswith(("write /proc/sys/", "write /sys/"))
            and pair.after[0] in {"ok", "EACCES"}
        ),
        "a twin write-protects these, and a new /proc or /sys of the unit is without that protection",
    ),
    Rule(
        lambda pair: pair.denial is None and pair.probe.name == "read /proc/kmsg" and pair.after[0] == "EAGAIN",
        "a twin has an empty file in place of the kernel's log, which a new /proc of the unit shows",
    ),
    Rule(
        lambda pair: (
            pair.denial is None
            and pair.probe.name in {"read /proc/kallsyms", "read /proc/kcore"}
            and pair.before == ("ok", "empty")
            and pair.after[0] == "EACCES"
        ),
        "a twin of newer systemd has masked it: only who may override permissions reads it, and finds nothing",
    ),
    Rule(
        lambda pair: (
            _is_about(pair, "PrivateTmp")
            and pair.denial is not None
            and (pair.after[0] != pair.before[0] or pair.before[0] in {"EXDEV", "EEXIST"})
            and "/tmp/probe" in pair.probe.name
            and any("/tmp" in value for value in pair.label.split())
        ),
        "refused either way; below a private /tmp, what is missing or covered there decides which errno comes first",
    ),
    Rule(
        lambda pair: (
            _is_about(pair, "RestrictNetworkInterfaces")
            and any(address in pair.probe.name for address in ("192.0.2.10", "192.0.2.1", "2001:db8::1"))
        ),
        "a fact does not say which interface an address is reached through, lo for the machine's own; never proposed",
    ),
    Rule(
        lambda pair: _blames(pair, "ProtectControlGroups") and "/sys/fs/cgroup/cgroup.procs" in pair.probe.name,
        "the service sees a tree of its own, which has files of the same names",
    ),
    Rule(
        lambda pair: _is_about(pair, "PrivatePIDs") and "seize" in pair.probe.name and pair.after[0] == "ESRCH",
        "no fact says which process was traced; PrivatePIDs= is never proposed",
    ),
    Rule(
        lambda pair: pair.before[0] == pair.after[0] == "ENOSYS" and pair.denial is not None,
        "Linux has not got this call any more: it is ENOSYS whether the filter (from 255) or the kernel says so",
    ),
    Rule(
        lambda pair: (
            _is_about(pair, "AmbientCapabilities") and pair.before[0] in {"EPERM", "EACCES"} and pair.user != 0
        ),
        "capabilities that are given let calls succeed that were refused before",
    ),
    Rule(
        lambda pair: "SO_DEBUG" in pair.probe.name and pair.after[0] == "EACCES" and pair.denial is not None,
        "setsockopt(SO_DEBUG) alone answers EACCES where CAP_NET_ADMIN is missing; the fact does not name the option",
    ),
    Rule(
        lambda pair: pair.probe.name == "CAP_AUDIT_WRITE: audit message" and pair.after[0] == "ECONNREFUSED",
        "the audit system refuses connections from user namespaces as a whole, with an errno of its own",
    ),
    Rule(
        lambda pair: (
            pair.denial is not None
            and pair.denial.outcome in {"empty", "fewer"}
            and pair.probe.action[0] == "read"
            and pair.after[0] == "ok"
        ),
        "the directory or file is another one, but it happens to show the same",
    ),
)


def explanation(pair: Pair) -> str:
    """Return why the model says something else than what happened, empty if that is not known."""
    return next((rule.reason for rule in RULES if rule.applies(pair)), "")
