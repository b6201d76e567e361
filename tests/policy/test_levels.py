"""The levels of tightness: each allows all that was recorded, and a stricter one allows no more than a looser one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.behaviour import (
    Access,
    Fact,
    FileKind,
    PathPair,
    PathUse,
    Phase,
    PrivilegeGained,
    SocketAddress,
    SystemCall,
)
from policy.decide import decide
from policy.directives.base import all_directives
from policy.drop_in_for import drop_in_settings
from policy.host_facts import HostFacts
from policy.level import Level
from policy.replay import replay
from policy.sandbox.sandbox import Sandbox
from policy.service_profile import Profile
from policy.settings import Assignment, build_sandbox, parse_settings
from policy.shipped_host_facts import for_version
from policy.unit_settings import ExecLine, UnitSettings
from policy.wording import behaviour_in_words
from tests.policy.services import HOST, UNITS, data_store, pool, profile, use, web_server

NEWEST = replace(
    for_version(262), features=frozenset({"+SECCOMP", "+BPF_FRAMEWORK"}), security_modules=frozenset({"bpf"})
)
HOSTS = (for_version(245), HOST, for_version(257), NEWEST)
SERVICES = {"web": web_server, "store": data_store}

Lines = dict[str, tuple[str, ...]]


def written(recorded: Profile, level: Level, host: HostFacts = HOST) -> Lines:
    return {name: values for name, values, _ in drop_in_settings(decide(recorded, host, level))}


def assignments(lines: Lines) -> list[Assignment]:
    return [(name, value) for name, values in lines.items() for value in values]


def sandbox_of(recorded: Profile, level: Level, host: HostFacts = HOST) -> Sandbox:
    unit = recorded.header.unit
    lines = [*unit.assignments, *assignments(written(recorded, level, host))]
    return build_sandbox(parse_settings(lines, host), host, unit)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.systemd_version)
@pytest.mark.parametrize("level", Level)
def test_what_was_recorded_is_allowed_at_every_level(service: str, host: HostFacts, level: Level) -> None:
    recorded = SERVICES[service]()
    decision = decide(recorded, host, level)
    assert not decision.remaining
    lines = assignments(written(recorded, level, host))
    assert not replay(recorded, lines, host).denials


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.systemd_version)
def test_a_stricter_level_denies_at_least_as_much(service: str, host: HostFacts) -> None:
    recorded = SERVICES[service]()
    denied = [
        {fact for fact in (*pool(), *SYSTEM_CALLS) if sandbox.judge(fact) and has_an_order(fact)}
        for sandbox in (sandbox_of(recorded, level, host) for level in Level)
    ]
    for looser, stricter in pairwise(denied):
        assert looser <= stricter
    assert len(denied[0]) < len(denied[-1])


SYSTEM_CALLS = [Fact(SystemCall(name)) for name in sorted(HOST.syscall_sets["@known"])]


def has_an_order(fact: Fact) -> bool:
    # EXDEV comes and goes with the borders of mounts, and what is missing anyway is missing in an empty tree as well.
    return not isinstance(fact.behaviour, PathPair) and fact.succeeded


def test_system_calls_by_level() -> None:
    lines = {level: written(web_server(), level)["SystemCallFilter"] for level in Level}
    assert lines[Level.STANDARD][1:3] == (
        "@system-service",
        "~@privileged @resources @aio @keyring @memlock @setuid",
    )
    assert lines[Level.COMPATIBLE][1] == "@system-service"
    assert not any("@resources" in line for line in lines[Level.COMPATIBLE])
    exact = lines[Level.STRICT][1].split()
    assert {"accept4", "setuid", "openat2", "write", "sendto", "rt_sigprocmask", "wait4"} <= set(exact)
    assert not {word for word in exact if word.startswith("@")}
    assert "inotify_init1" not in exact


def test_nothing_that_others_could_notice_at_the_level_compatible() -> None:
    facts = [use("/tmp/a.sock", Access.BIND, FileKind.SOCKET), use("/etc/a/b", Access.READ)]
    unit = UnitSettings("a.service", user="a", assignments=(("User", "a"),))
    standard, compatible = (written(profile(facts, unit), level) for level in (Level.STANDARD, Level.COMPATIBLE))
    assert standard["PrivateTmp"] == standard["RemoveIPC"] == ("yes",)
    assert not {"PrivateTmp", "RemoveIPC", "UMask", "ProcSubset"} & set(compatible)
    quiet = profile([use("/etc/a/b", Access.READ)], unit)
    assert written(quiet, Level.STANDARD)["UMask"] == ("0077",)
    assert "UMask" not in written(quiet, Level.COMPATIBLE)


def test_directories_are_wider_at_the_level_compatible() -> None:
    facts = [use("/var/lib/a/deep/er/x", Access.CREATE), use("/etc/a/b.conf", Access.WRITE)]
    standard, compatible = (written(profile(facts), level) for level in (Level.STANDARD, Level.COMPATIBLE))
    assert standard["ReadWritePaths"] == ("", "-/etc/a/b.conf", "-/var/lib/a/deep/er")
    assert compatible["ReadWritePaths"] == ("", "-/etc/a", "-/var/lib/a/deep")
    shallow = written(profile([use("/var/lib/a/x", Access.CREATE)]), Level.COMPATIBLE)
    assert shallow["ReadWritePaths"] == ("", "-/var/lib/a")  # never a directory that services share


def test_ports_and_interfaces_where_the_target_enforces_them() -> None:
    web = written(web_server(), Level.STRICT, NEWEST)
    assert web["SocketBindDeny"] == ("", "any")
    assert web["SocketBindAllow"] == ("", "ipv4:tcp:80")
    assert "RestrictNetworkInterfaces" not in web
    store = written(data_store(), Level.STRICT, NEWEST)
    assert store["SocketBindAllow"] == ("", "ipv4:tcp:6379", "ipv6:tcp:6379")
    assert store["RestrictNetworkInterfaces"] == ("", "lo")
    for level, host in ((Level.STANDARD, NEWEST), (Level.STRICT, HOST)):
        assert not {"SocketBindDeny", "RestrictNetworkInterfaces"} & set(written(data_store(), level, host))


def test_any_port_takes_a_rule_of_its_own() -> None:
    facts = [Fact(SocketAddress("bind", "AF_INET", "SOCK_DGRAM", "0.0.0.0", 0))]
    facts += [Fact(SocketAddress("bind", "AF_INET6", "SOCK_STREAM", "::", 443))]
    lines = written(profile(facts), Level.STRICT, NEWEST)
    assert lines["SocketBindAllow"] == ("", "ipv4:udp:0", "tcp:443")


def test_what_is_not_enforced_is_not_proposed_and_not_judged() -> None:
    lines = [("SocketBindDeny", "any"), ("RestrictFileSystems", "~@privileged-api"), ("ProtectProc", "invisible")]
    facts = [
        Fact(SocketAddress("bind", "AF_INET", "SOCK_STREAM", "0.0.0.0", 80)),
        use("/sys/kernel/debug/gpio", Access.READ),
        use("/proc/other/stat", Access.READ, user=33),
    ]
    assert len(replay(profile(facts), lines, NEWEST).blocked) == 3
    without = replace(HOST, kernel=(5, 4))
    assert not replay(profile(facts), lines, without).blocked
    reasons = {name: kind.unenforced(without) for name, kind in all_directives().items()}
    assert reasons["SocketBindDeny"] == "systemd was built without BPF_FRAMEWORK"
    assert reasons["ProtectProc"] == "Linux 5.4 cannot mount /proc so"
    assert reasons["SystemCallFilter"] == ""
    assert "RestrictFileSystems" in written(profile([]), Level.STANDARD, NEWEST)
    no_module = replace(NEWEST, security_modules=frozenset({"yama"}))
    assert "RestrictFileSystems" not in written(profile([]), Level.STANDARD, no_module)


APPLICATION = UnitSettings("app.service", exec_lines=(ExecLine("ExecStart", "", "/usr/bin/app"),))
APPLICATION_FACTS = (
    use("/usr/bin/app", Access.EXECUTE),
    use("/usr/lib/libapp.so.1", Access.MAP_EXECUTE),
    use("/var/lib/app/data/x", Access.CREATE),
    use("/var/lib/app/settings", Access.READ),
    use("/var/lib/other/state", Access.LOOKUP, outcome="ENOENT"),
    use("/srv/www/index.html", Access.READ),
    use("/opt", Access.READ, FileKind.DIRECTORY),
    use("/etc/app.conf", Access.READ),
)


def strict(facts: Iterable[Fact] = APPLICATION_FACTS, unit: UnitSettings = APPLICATION) -> Lines:
    return written(profile(facts, unit), Level.STRICT)


def test_the_view_of_the_level_strict() -> None:
    lines = strict()
    assert lines["ReadWritePaths"] == ("", "-/var/lib/app/data")
    assert lines["TemporaryFileSystem"] == ("", "/srv:ro", "/var/lib:ro")
    assert lines["BindReadOnlyPaths"] == (
        "-/srv/www",
        "-/usr/bin/app",
        "-/usr/lib/libapp.so.1",
        "-/var/lib/app",
    )
    assert "-/mnt" in lines["InaccessiblePaths"]
    assert not {"-/opt", "-/srv", "-/var/lib", "-/usr/lib"} & set(lines["InaccessiblePaths"])
    assert lines["ExecPaths"] == ("", "-/usr/bin/app", "-/usr/lib/libapp.so.1")
    assert lines["NoExecPaths"] == ("", "/", "-/var/lib/app/data", "-/tmp", "-/var/tmp")


@pytest.mark.parametrize(
    ("fact", "outcome"),
    [
        (use("/var/lib/other/state", Access.READ), "ENOENT"),
        (use("/mnt/x", Access.READ, user=33), "EACCES"),
        (use("/usr/bin/true", Access.EXECUTE), "EACCES"),
        (use("/var/lib/app/data/tool", Access.EXECUTE), "EACCES"),
        (use("/tmp/tool", Access.EXECUTE), "EACCES"),
        (use("/usr/bin/app", Access.WRITE), "EROFS"),
        (use("/var/lib/app/settings", Access.WRITE), "EROFS"),
        (use("/var/lib/app/data/y", Access.CREATE), ""),
        (use("/srv/www/other.html", Access.READ), ""),
    ],
    ids=lambda one: behaviour_in_words(one.behaviour) if isinstance(one, Fact) else one,
)
def test_what_the_view_leaves(fact: Fact, outcome: str) -> None:
    if fact.behaviour == use("/tmp/tool", Access.EXECUTE).behaviour:
        fact = replace(fact, behaviour=PathUse("/tmp/tool", Access.EXECUTE, FileKind.REGULAR, created_by_service=True))
    denial = sandbox_of(profile(APPLICATION_FACTS, APPLICATION), Level.STRICT).judge(fact)
    assert (denial.outcome if denial else "") == outcome


@pytest.mark.parametrize(
    "unit",
    [
        replace(APPLICATION, exec_lines=(*APPLICATION.exec_lines, ExecLine("ExecStop", "", "/usr/bin/stop"))),
        replace(APPLICATION, assignments=(("NoExecPaths", "/tmp"),)),
        replace(APPLICATION, assignments=(("RootDirectory", "/srv/root"),)),
        replace(APPLICATION, assignments=(("WorkingDirectory", "~"),)),
        replace(APPLICATION, dynamic_user=True),
    ],
    ids=["a line that was not seen", "a list of its own", "another root", "a home", "a dynamic user"],
)
def test_no_view_where_it_could_not_be_sound(unit: UnitSettings) -> None:
    lines = strict(unit=unit)
    assert not {"NoExecPaths", "ExecPaths", "TemporaryFileSystem", "BindReadOnlyPaths"} & set(lines)


@pytest.mark.parametrize("name", ["it's", 'say "x"', "a\tb"])
def test_no_tree_is_covered_where_a_name_in_it_gets_lost_on_the_way_to_the_executor(name: str) -> None:
    lines = strict((*APPLICATION_FACTS, use(f"/srv/{name}/x", Access.READ)))
    assert lines["TemporaryFileSystem"] == ("", "/var/lib:ro")
    assert not any(name in word for word in lines["BindReadOnlyPaths"])


def test_where_the_service_works_stays_visible() -> None:
    lines = strict(unit=replace(APPLICATION, assignments=(("WorkingDirectory", "-/mnt/work"),)))
    assert "-/mnt" not in lines["InaccessiblePaths"]
    assert "-/mnt/work" in lines["BindReadOnlyPaths"]


def test_lines_that_are_freed_from_the_sandbox_see_all_trees() -> None:
    unit = replace(APPLICATION, exec_lines=(*APPLICATION.exec_lines, ExecLine("ExecStartPre", "+", "/usr/bin/make")))
    seen = Fact(
        PathUse("/usr/bin/make", Access.EXECUTE, FileKind.REGULAR), exec_line="+ExecStartPre", phase=Phase.START_UP
    )
    lines = strict((*APPLICATION_FACTS, seen), unit)
    assert "TemporaryFileSystem" not in lines
    assert lines["ExecPaths"] == ("", "-/usr/bin/app", "-/usr/lib/libapp.so.1")


def test_a_program_that_the_service_makes_can_be_executed() -> None:
    made = [use("/var/lib/app/data/tool", Access.CREATE), use("/var/lib/app/data/tool", Access.EXECUTE)]
    lines = strict((*APPLICATION_FACTS, *made))
    assert "-/var/lib/app/data" in lines["ExecPaths"]
    assert "-/var/lib/app/data" not in lines["NoExecPaths"]
    assert "-/var/lib/app/data" not in lines["BindReadOnlyPaths"]


def test_many_programs_are_folded_into_their_directories() -> None:
    many = [use(f"/usr/lib/app/plugin-{number}.so", Access.MAP_EXECUTE) for number in range(80)]
    lines = strict((*APPLICATION_FACTS, *many))
    assert lines["ExecPaths"] == ("", "-/usr/bin", "-/usr/lib", "-/usr/lib/app")


_names = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3).map("/".join)
_paths = st.builds("{}/{}".format, st.sampled_from(["/var/lib", "/srv", "/usr/bin", "/tmp", "/opt/a", "/etc"]), _names)
_uses = st.builds(PathUse, _paths, st.sampled_from(Access), st.sampled_from([FileKind.REGULAR, FileKind.DIRECTORY]))
_pairs = st.builds(PathPair, st.sampled_from(["rename", "link"]), _paths, _paths)
_outcomes = st.sampled_from(["ok", "ok", "ok", "ENOENT", "EEXIST", "EACCES"])
path_facts = st.frozensets(st.builds(Fact, _uses | _pairs, _outcomes, user=st.sampled_from([0, 33])), max_size=10)
mixed_facts = st.lists(st.sampled_from(pool()), max_size=8).map(frozenset)


@settings(deadline=None, max_examples=40)
@given(path_facts, mixed_facts, st.sampled_from(Level), st.sampled_from(HOSTS), st.sampled_from(UNITS))
def test_nothing_is_denied_at_any_level(
    paths: frozenset[Fact], others: frozenset[Fact], level: Level, host: HostFacts, unit: UnitSettings
) -> None:
    recorded = profile(paths | others, unit)
    decision = decide(recorded, host, level)
    assert not decision.remaining
    assert not replay(recorded, assignments(written(recorded, level, host)), host).denials


OWN_VALUES: Sequence[Assignment] = [
    *(
        (name, value)
        for name, kind in all_directives().items()
        for value in {*kind.since, *kind.denied_examples}
        if value
    ),
    *((name, "") for name in all_directives()),
    ("ReadWritePaths", "/var/lib/a -/srv/a"),
    ("ReadOnlyPaths", "/var/lib /opt"),
    ("InaccessiblePaths", "-/srv/b /etc/a"),
    ("NoExecPaths", "/opt"),
    ("BindReadOnlyPaths", "/srv/a"),
    ("TemporaryFileSystem", "/opt:ro"),
    ("CapabilityBoundingSet", "CAP_CHOWN CAP_KILL"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@clock @mount chown:ENOSYS"),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET"),
    ("RestrictNamespaces", "net"),
    ("DeviceAllow", "/dev/fuse rw"),
    ("DevicePolicy", "closed"),
    ("IPAddressDeny", "192.0.2.0/24"),
    ("SocketBindDeny", "tcp:80"),
    ("UMask", "0177"),
    ("PrivateUsers", "self"),
    ("SystemCallErrorNumber", "EACCES"),
]
own_settings = st.lists(st.sampled_from(OWN_VALUES), max_size=6).map(tuple)


def is_temporary(fact: Fact) -> bool:
    # A private /tmp can be written under ProtectSystem=strict, and nobody else ever sees it.
    use = fact.behaviour
    names = (use.path,) if isinstance(use, PathUse) else (use.source, use.target) if isinstance(use, PathPair) else ()
    return any(name.startswith(("/tmp", "/var/tmp")) for name in names)


@settings(deadline=None, max_examples=40)
@given(path_facts, mixed_facts, own_settings, st.sampled_from(Level), st.sampled_from((HOST, NEWEST)))
def test_it_is_never_weaker_than_a_unit_that_says_anything(
    paths: frozenset[Fact], others: frozenset[Fact], own: tuple[Assignment, ...], level: Level, host: HostFacts
) -> None:
    recorded = profile(paths | others, UnitSettings("a.service", assignments=own))
    before = build_sandbox(parse_settings(own, host), host, recorded.header.unit)
    after = sandbox_of(recorded, level, host)
    # Of what failed already, another refusal may come first: that is no permission.
    asked = [fact for fact in (*pool(), *paths) if fact.succeeded and not is_temporary(fact)]
    # A border between two mounts protects nothing, as copying crosses it: it may go with a list that is not needed.
    denied = [fact for fact in asked if (denial := before.judge(fact)) is not None and denial.outcome != "EXDEV"]
    weaker = [fact for fact in denied if after.judge(fact) is None]
    assert weaker == []


@settings(deadline=None, max_examples=40)
@given(path_facts, mixed_facts, own_settings, st.sampled_from(Level))
def test_no_directive_is_weaker_than_the_unit_has_it(
    paths: frozenset[Fact], others: frozenset[Fact], own: tuple[Assignment, ...], level: Level
) -> None:
    unit = UnitSettings("a.service", assignments=own)
    decision = decide(profile(paths | others, unit), NEWEST, level)
    for choice in decision.choices:
        assert choice.chosen.intersected(choice.own) == choice.chosen, choice.name


def test_what_systemd_itself_needs_is_never_hidden() -> None:
    """# hard case 55: whatever a service leaves alone, the start of a unit needs these trees."""
    hidden = {entry.lstrip("-") for entry in strict([use("/usr/bin/app", Access.EXECUTE)])["InaccessiblePaths"]} - {""}
    needed = ("/proc", "/run", "/sys", "/dev", "/etc", "/usr/lib/systemd")
    assert hidden
    assert not {(tree, path) for tree in hidden for path in needed if f"{path}/".startswith(f"{tree}/")}
    assert not {tree for tree in hidden if tree.startswith(("/proc/", "/run/", "/sys/", "/dev/"))}


def test_a_set_uid_helper_of_a_users_service_forbids_what_implies_no_new_privileges() -> None:
    """# hard case 72: for a unit with User= every filter of system calls implies NoNewPrivileges=."""
    helper = Fact(PrivilegeGained("/usr/bin/sudo", "set-uid"), user=65534)
    users = replace(APPLICATION, user="nobody")
    implying = {"NoNewPrivileges", "SystemCallFilter", "RestrictNamespaces", "LockPersonality", "RestrictRealtime"}
    without, with_it = (strict([*APPLICATION_FACTS, *more], users) for more in ((), (helper,)))
    assert implying <= set(without)
    assert not {name for name in implying & set(with_it) if any(with_it[name])}
