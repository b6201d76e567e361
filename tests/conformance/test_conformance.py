"""A small part of ``make conformance`` on the systemd of this machine, and that the whole forgets no directive."""

from __future__ import annotations

import pytest

from policy.directives.base import all_directives
from policy.shipped_host_facts import for_version
from profiler.twin import Twin
from tests.conformance.cases import Case, combinations, single_cases
from tests.conformance.comparison import Verdict
from tests.conformance.laboratory import Laboratory
from tests.conformance.run import SEED, try_cases

SAMPLE = (
    Case("ProtectSystem", (("ProtectSystem", "strict"), ("ReadWritePaths", "/srv/probe /var/lib/probe"))),
    Case("ProtectHome", (("ProtectHome", "tmpfs"), ("PrivateTmp", "yes"))),
    Case("InaccessiblePaths", (("InaccessiblePaths", "/srv/probe/inner /srv/probe/own/inner /home"),)),
    Case("PrivateDevices", (("PrivateDevices", "yes"), ("ProtectKernelTunables", "yes"), ("ProtectProc", "invisible"))),
    Case("CapabilityBoundingSet", (("CapabilityBoundingSet", ""),)),
    Case("RestrictNamespaces", (("RestrictNamespaces", "~user net"), ("RestrictAddressFamilies", "AF_UNIX"))),
    Case("LockPersonality", (("LockPersonality", "yes"), ("RestrictRealtime", "yes"), ("RestrictSUIDSGID", "yes"))),
    Case("MemoryDenyWriteExecute", (("MemoryDenyWriteExecute", "yes"), ("ProtectClock", "yes"))),
    Case("SystemCallFilter", (("SystemCallFilter", "@system-service"), ("SystemCallErrorNumber", "EPERM")), raw=True),
    Case("IPAddressDeny", (("IPAddressDeny", "any"), ("IPAddressAllow", "localhost"))),
)


def test_the_model_says_what_a_process_experiences(fresh_twin: Twin) -> None:
    laboratory = Laboratory(fresh_twin)
    findings = try_cases(laboratory, [*SAMPLE, *combinations(6, SEED)])
    wrong = [pair.line() for pair in findings.pairs if pair.verdict is Verdict.DISAGREED]
    assert not wrong, "\n".join(wrong[:30])
    assert not findings.failures, findings.not_started
    assert len(findings.pairs) > 2000
    denied = {pair.directive for pair in findings.pairs if pair.denial and pair.verdict is Verdict.AGREED}
    assert {case.directive for case in SAMPLE} <= denied


@pytest.mark.parametrize("name", all_directives())
def test_every_directive_is_tried(name: str) -> None:
    """A new directive is picked up by its values or by its denied examples, without a word in the harness."""
    kind = all_directives()[name]
    newest = for_version(max(262, *kind.since.values()))
    assert any(case.directive == name for case in single_cases(newest)), f"{name} has no value to try"
