"""A report on a service that puts into every name what could hurt its reader."""

from __future__ import annotations

from functools import cache

from policy.behaviour import (
    Access,
    CapabilityUsed,
    Fact,
    PathPair,
    PathUse,
    Phase,
    SocketAddress,
    SocketOpened,
    SystemCall,
)
from policy.drop_in import DropIn, Setting
from policy.recording import Ending, Header, Loss, Recording
from policy.report.model import Report
from policy.service_profile import Profile
from policy.unit_settings import ExecLine, UnitSettings
from tests.policy.report.test_build import reported

SCRIPT = "<script>alert('x')</script>"
NAMES = (
    SCRIPT,
    '"><img src=//evil.example onerror=alert(1)>',
    "'onmouseover='x",
    "</style></code></details>{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u2066",
    "line\nbreak\r\tand \x1b]0;title\x07 bell",
    "not \udcff\udc80 UTF-8",
    "\ud800 lone",
    "&lt;already&amp;escaped&#39;",
    "\u0000null\u200b\ufeff",
)


@cache
def hostile_report() -> Report:
    """Return the report; every name is in a path, a program, a socket, a capability's reason and a drop-in."""
    facts = [fact for name in NAMES for fact in _facts(name)]
    unit = UnitSettings("a.service", exec_lines=tuple(ExecLine("ExecStart", "", f"/bin/{name}") for name in NAMES))
    recording = Recording(
        "1",
        recorders=(SCRIPT,),
        kernel=SCRIPT,
        losses=tuple(Loss(name, 1, name) for name in NAMES),
        ending=Ending.INTERRUPTED,
        phase_starts=((0, Phase.START_UP), (100, Phase.SERVING)),
        discovery=((0, 0), (50, 5), (2000, len(facts))),
    )
    profile = Profile(Header(unit, frozenset({recording})), frozenset(facts))
    settings = [Setting("ReadOnlyPaths", f"/{name}", (name,)) for name in NAMES]
    return reported(profile, DropIn((*settings, Setting(SCRIPT, "yes", NAMES), Setting("ProtectSystem", "strict"))))


def _facts(name: str) -> list[Fact]:
    path = "/srv/" + name.replace("/", "|")
    evidence = f"{name}: open = 3"
    return [
        Fact(PathUse(path, Access.WRITE, through=f"/lnk/{name}"), evidence=evidence),
        Fact(PathUse(f"/run/{name}", Access.CONNECT), "ENOENT", evidence=evidence),
        Fact(PathUse(f"/bin/{name}", Access.EXECUTE), evidence=evidence),
        Fact(PathPair("rename", path, f"{path}.new"), evidence=evidence),
        Fact(SocketOpened("AF_UNIX", "SOCK_STREAM"), evidence=evidence),
        Fact(SocketAddress("connect", "AF_UNIX", "SOCK_STREAM", f"@{name}"), evidence=evidence),
        Fact(CapabilityUsed("CAP_CHOWN", f"chown {name}"), evidence=evidence),
        Fact(SystemCall("read"), exec_line="ExecStart", evidence=evidence),
    ]
