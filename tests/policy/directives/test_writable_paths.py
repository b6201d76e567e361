"""ReadWritePaths= from facts: every recorded write is covered, and nothing more than that is opened."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.behaviour import OK, Access, Fact, FileKind, Mounted, PathPair, PathUse, Phase
from policy.decide import decide
from policy.directives.base import Evidence
from policy.directives.own_trees import LONGEST_LIST, fold
from policy.directives.paths import ReadWritePaths
from policy.level import Level
from policy.recording import Header, Recording
from policy.replay import replay
from policy.service_profile import Profile
from policy.settings import build_sandbox
from policy.unit_settings import UnitSettings
from tests.policy.services import HOST, profile

REGULAR, DIRECTORY, SOCKET = FileKind.REGULAR, FileKind.DIRECTORY, FileKind.SOCKET


def use(
    path: str, access: Access, outcome: str = OK, kind: FileKind = REGULAR, *, user: int = 0, own: bool = False
) -> Fact:
    return Fact(PathUse(path, access, kind, own), outcome, user=user)


def rename(source: str, target: str) -> Fact:
    return Fact(PathPair("rename", source, target))


def chosen(facts: Iterable[Fact], unit: UnitSettings | None = None) -> dict[str, tuple[str, ...]]:
    decision = decide(profile(facts, unit), HOST)
    assert not decision.remaining
    return {choice.name: choice.chosen.values() for choice in decision.choices}


def writable(facts: Iterable[Fact], unit: UnitSettings | None = None) -> tuple[str, ...]:
    values = chosen(facts, unit)
    assert values["ProtectSystem"] == ("strict",)
    return values["ReadWritePaths"][1:]


def test_nothing_is_writable_for_who_writes_nothing() -> None:
    assert writable([use("/etc/passwd", Access.READ)]) == ()


def test_the_directory_of_a_name_that_is_made_or_removed() -> None:
    assert writable([use("/run/a.pid", Access.CREATE), use("/run/a.pid", Access.DELETE, own=True)]) == ("/run",)
    assert writable([use("/srv/site/x/y", Access.DELETE)]) == ("-/srv/site/x",)
    assert writable([use("/run/a/control", Access.BIND, kind=SOCKET)]) == ("-/run/a",)


def test_a_file_that_is_written_in_place_stands_for_itself() -> None:
    assert writable([use("/etc/aliases.db", Access.READ_WRITE)]) == ("-/etc/aliases.db",)
    assert writable([use("/srv/lastlog", Access.WRITE)]) == ("-/srv/lastlog",)


def test_a_file_in_a_directory_of_the_services_own_may_be_rotated() -> None:
    assert writable([use("/var/log/a/a.log", Access.WRITE)]) == ("-/var/log/a",)


def test_no_entry_but_what_no_system_lacks_can_stop_the_unit_from_starting() -> None:
    """T5: a path without a dash that is gone is 226/NAMESPACE."""
    there = [use("/var/lib/a/x", Access.DELETE), use("/etc/a.conf", Access.WRITE), use("/run/a.pid", Access.DELETE)]
    assert writable(there) == ("-/etc/a.conf", "/run", "-/var/lib/a")


def test_what_others_made_meanwhile_is_reached_through_what_is_there_at_the_start() -> None:
    """With a dash it would not be writable if it were made after the start again."""
    written = [use("/srv/a/inbox/one", Access.DELETE), use("/srv/mail/somebody", Access.WRITE)]
    appeared = [
        Fact(PathUse("/srv/a/inbox", Access.LOOKUP, DIRECTORY, appeared=True)),
        Fact(PathUse("/srv/mail/somebody", Access.LOOKUP, REGULAR, appeared=True)),
    ]
    assert writable(written) == ("-/srv/a/inbox", "-/srv/mail")
    assert writable([*written, *appeared]) == ("-/srv/a", "-/srv/mail")


def test_a_service_that_acts_for_users_may_write_to_any_home() -> None:
    login = [use("/home/somebody/dated", Access.CREATE, user=1000), use("/home/somebody/.profile", Access.READ)]
    assert chosen(login)["ProtectHome"] == ()
    transfer = [use("/home/somebody/file", Access.READ, user=1000)]
    assert chosen(transfer)["ProtectHome"] == ()
    web_server = [use("/home/somebody/public_html/index.html", Access.READ, user=33)]
    assert chosen(web_server)["ProtectHome"] == ("read-only",)
    backup = [use("/home/backup/x", Access.CREATE)]
    assert chosen(backup)["ProtectHome"] == ("read-only",)
    assert writable(backup) == ("-/home/backup",)
    strict = decide(profile(login), HOST, Level.STRICT)
    assert {one.name: one.chosen.values() for one in strict.choices}["ProtectHome"] == ("read-only",)
    made_meanwhile = Fact(PathUse("/home/somebody", Access.LOOKUP, DIRECTORY, appeared=True))
    strict = decide(profile([*login, made_meanwhile]), HOST, Level.STRICT)
    assert {one.name: one.chosen.values() for one in strict.choices}["ProtectHome"] == ()


def test_what_the_service_makes_is_reached_through_what_is_there_at_the_start() -> None:
    made = [
        use("/var/lib/a/spool", Access.CREATE, kind=DIRECTORY),
        use("/var/lib/a/spool/new", Access.CREATE, kind=DIRECTORY, own=True),
        use("/var/lib/a/spool/new/1", Access.CREATE, own=True),
        use("/var/lib/a/spool/new/1", Access.METADATA, own=True),
    ]
    assert writable(made) == ("-/var/lib/a",)


def test_a_directory_that_the_service_would_make_is_not_relied_on() -> None:
    there = [
        use("/var/lib/a/body", Access.CREATE, "EEXIST", DIRECTORY),
        use("/var/lib/a/body", Access.METADATA, kind=DIRECTORY),
    ]
    assert writable(there) == ("-/var/lib/a",)
    assert writable([use("/run/a", Access.CREATE, "EEXIST", DIRECTORY)]) == ("/run",)
    assert writable([use("/run/lock", Access.CREATE, "EEXIST", DIRECTORY)]) == ()
    provided = UnitSettings("a.service", writable_directories=("/run/a",))
    assert writable([use("/run/a", Access.CREATE, "EEXIST", DIRECTORY)], provided) == ()


def test_names_that_are_joined_share_an_entry() -> None:
    """T1: two entries are two mounts."""
    facts = [use("/srv/a/x/1", Access.CREATE), use("/srv/a/y/1", Access.CREATE)]
    assert writable(facts) == ("-/srv/a/x", "-/srv/a/y")
    assert writable([*facts, rename("/srv/a/x/1", "/srv/a/y/1")]) == ("-/srv/a",)
    linked = [use("/srv/a/one", Access.WRITE), Fact(PathPair("link", "/srv/a/one", "/srv/a/b/two"))]
    assert writable(linked) == ("-/srv/a",)


def test_a_directory_that_is_itself_renamed() -> None:
    """T2: an entry cannot be moved."""
    facts = [use("/var/lib/a/old/x", Access.DELETE), rename("/var/lib/a/old", "/var/lib/a/older")]
    facts += [
        use("/var/lib/a/old", Access.DELETE, kind=DIRECTORY),
        use("/var/lib/a/older", Access.CREATE, kind=DIRECTORY),
    ]
    assert writable(facts) == ("-/var/lib/a",)


def test_no_list_makes_the_root_writable() -> None:
    values = chosen([rename("/srv/a/x", "/var/lib/a/x"), use("/etc/a.conf", Access.WRITE)])
    assert values["ProtectSystem"] == ("full",)
    assert values["ReadWritePaths"] == ("", "-/etc/a.conf")
    assert chosen([use("/core", Access.CREATE)])["ProtectSystem"] == ("full",)


def test_homes_and_kernel_trees_need_no_entry() -> None:
    facts = [use("/root/x", Access.CREATE), use("/proc/sys/vm/overcommit_memory", Access.WRITE)]
    assert writable([*facts, use("/dev/shm/x", Access.CREATE)]) == ()


def test_private_tmp_spares_an_entry() -> None:
    assert writable([use("/tmp/mine", Access.CREATE)]) == ()
    shared = [use("/tmp/mine", Access.CREATE), use("/tmp/.theirs", Access.CONNECT, kind=SOCKET)]
    assert chosen(shared)["PrivateTmp"] == ()
    assert writable(shared) == ("/tmp",)


def test_directories_that_systemd_makes_need_no_entry() -> None:
    unit = UnitSettings("a.service", writable_directories=("/var/lib/a",))
    assert writable([use("/var/lib/a/x", Access.CREATE)], unit) == ()


def test_failures_that_would_change_are_covered_where_the_directory_exists() -> None:
    """T6: unlink of a missing name is EROFS on a read-only mount."""
    assert writable([use("/srv/a/stale", Access.DELETE, "ENOENT")]) == ("-/srv/a",)
    assert writable([use("/run/stale.pid", Access.DELETE, "ENOENT")]) == ("/run",)
    assert writable([use("/srv/a/x", Access.WRITE, "ENOENT")]) == ()
    assert writable([use("/srv/a/x", Access.CREATE, "EEXIST")]) == ()


def test_a_path_that_cannot_be_written_down() -> None:
    assert writable([use("/var/lib/a/bad\nname/x", Access.CREATE)]) == ("-/var/lib/a",)
    assert writable([use("/var/lib/a/\udcff/x", Access.CREATE)]) == ("-/var/lib/a",)
    assert chosen([use("/srv/bad\nname/x", Access.CREATE)])["ProtectSystem"] == ("full",)


def test_hostile_names_are_encoded() -> None:
    facts = [use('/var/lib/a/50%:"x" y\\/f', Access.CREATE)]
    (line,) = writable(facts)
    assert ReadWritePaths.parse([line], HOST) == ReadWritePaths.parse(chosen(facts)["ReadWritePaths"], HOST)
    sandbox = build_sandbox({"ReadWritePaths": ReadWritePaths.parse([line], HOST)}, HOST, UnitSettings("a.service"))
    assert list(sandbox.mounts.mounts) == ['/var/lib/a/50%:"x" y\\']


def test_a_mount_for_the_host_leaves_no_protection() -> None:
    values = chosen([Fact(Mounted("mount", "/mnt/x")), use("/srv/a/x", Access.CREATE)])
    assert values["ProtectSystem"] == ()
    assert values["PrivateTmp"] == ()


def test_the_units_own_list_is_only_narrowed() -> None:
    unit = UnitSettings(
        "a.service", assignments=(("ProtectSystem", "strict"), ("ReadWritePaths", "/var/lib/a/db /srv/a"))
    )
    facts = [use("/var/lib/a/db", Access.WRITE), use("/srv/a/deep/x", Access.CREATE)]
    assert writable(facts, unit) == ("-/srv/a/deep", "/var/lib/a/db")


def test_long_lists_are_folded_into_directories_of_the_services_own() -> None:
    facts = [use(f"/var/lib/a/{number % 70}/x", Access.DELETE) for number in range(70)]
    assert writable(facts) == ("-/var/lib/a",)


def test_folding_never_reaches_what_services_share() -> None:
    shared = {f"/usr/share/{number}/x": False for number in range(70)}
    assert fold(shared, LONGEST_LIST) == shared
    mixed = {
        **{f"/srv/a/{number}": False for number in range(60)},
        **{f"/var/lib/{number}": True for number in range(9)},
    }
    folded = fold(mixed, LONGEST_LIST)
    assert "/srv/a" in folded and "/var/lib" not in folded
    assert len(folded) == 10


_names = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
_paths = st.builds(
    "{}/{}".format, st.sampled_from(["/var/lib/a", "/etc", "/run", "/tmp", "/home", "/srv", "/usr"]), _names
)
_uses = st.builds(
    PathUse, _paths, st.sampled_from(Access), st.sampled_from([REGULAR, DIRECTORY, SOCKET]), st.booleans()
)
_pairs = st.builds(PathPair, st.sampled_from(["rename", "link"]), _paths, _paths)
_outcomes = st.sampled_from([OK, OK, OK, "ENOENT", "EEXIST", "EACCES", "EXDEV"])
_facts = st.frozensets(st.builds(Fact, _uses | _pairs, _outcomes, user=st.sampled_from([0, 33])), max_size=12)


@settings(deadline=None, max_examples=200)
@given(_facts, st.sampled_from(Level))
def test_whatever_was_recorded_stays_as_it_was(facts: frozenset[Fact], level: Level) -> None:
    decision = decide(profile(facts), HOST, level)
    assert not decision.remaining
    sandbox = build_sandbox(
        {choice.name: choice.chosen for choice in decision.choices}, HOST, UnitSettings("a.service")
    )
    denials = [denial for fact in facts if (denial := sandbox.judge(fact))]
    assert [denial for denial in denials if not denial.still_refused] == []


def test_a_write_that_failed_already_makes_nothing_writable() -> None:
    refused = use("/usr/lib/python3/a/__pycache__/x.pyc", Access.CREATE, outcome="EACCES", user=33)
    decision = decide(profile([refused]), HOST)
    chosen = {choice.name: choice.chosen.values() for choice in decision.choices}
    assert chosen["ProtectSystem"] == ("strict",)
    assert chosen["ReadWritePaths"] == ()
    assert [(denial.fact, denial.outcome) for denial in decision.still_refused] == [(refused, "EROFS")]


@settings(deadline=None, max_examples=200)
@given(_facts)
def test_no_entry_is_idle(facts: frozenset[Fact]) -> None:
    """Under the protection that was chosen each entry is needed by some fact, or says why it is there."""
    recorded = profile(facts)
    decision = decide(recorded, HOST)
    by_name = {choice.name: choice.chosen for choice in decision.choices}
    paths = by_name["ReadWritePaths"]
    evidence = Evidence(facts, HOST, UnitSettings("a.service"))
    for element in paths.elements():
        without = build_sandbox({**by_name, "ReadWritePaths": paths.without(element)}, HOST, UnitSettings("a.service"))
        needed = any(without.judge(fact) for fact in facts)
        assert needed or paths.kept_because(element, evidence), element


@pytest.mark.parametrize(
    ("recorded", "listed"),
    [
        (["/srv/data/2026/11/28/report"], ("-/srv/data",)),
        (["/var/lib/a/objects/3f/9a1b2c"], ("-/var/lib/a/objects",)),
        (["/var/lib/a/one/x", "/var/lib/a/two/x"], ("-/var/lib/a",)),
        (["/var/cache/a/one/x", "/var/lib/a/two/x"], ("-/var/cache/a/one", "-/var/lib/a/two")),
        (["/srv/www/uploads/x", "/srv/www/sessions/x"], ("-/srv/www/sessions", "-/srv/www/uploads")),
        (["/var/lib/2026/x"], ("-/var/lib/2026",)),
    ],
)
def test_samples_stand_for_the_directory_that_they_are_in(recorded: list[str], listed: tuple[str, ...]) -> None:
    """Tomorrow has another date, the next object another hash; content that others own is not opened for it."""
    facts = [use(path, Access.CREATE) for path in recorded]
    assert writable(facts) == listed
    exact = {one.name: one.chosen.values() for one in decide(profile(facts), HOST, Level.STRICT).choices}
    assert exact["ReadWritePaths"] == ("", *sorted(f"-{path.rpartition('/')[0]}" for path in recorded))


def test_a_log_that_others_rotate_is_made_anew_beside_it() -> None:
    assert writable([use("/var/log/a.log", Access.WRITE)]) == ("/var/log",)


def test_what_the_unit_leaves_writable_stays_so_beside_its_own_list() -> None:
    own = UnitSettings("a.service", assignments=(("ProtectSystem", "full"), ("ReadWritePaths", "/etc/a")))
    facts = [use("/etc/a/x", Access.CREATE), use("/var/log/a/x", Access.CREATE)]
    decided = {one.name: one.chosen.values() for one in decide(profile(facts, own), HOST).choices}
    assert decided["ProtectSystem"] == ("strict",)
    assert set(decided["ReadWritePaths"]) == {"", "/etc/a", "-/var/log/a"}


def test_beneath_a_root_of_its_own_paths_are_those_that_the_service_sees() -> None:
    own = UnitSettings("a.service", assignments=(("RootDirectory", "/srv/root"),))
    recorded = profile([use("/var/lib/a/x", Access.CREATE)], own)
    decided = {one.name: one.chosen.values() for one in decide(recorded, HOST).choices}
    assert decided["ReadWritePaths"] == ("", "-+/var/lib/a")
    strict = [("ProtectSystem", "strict")]
    assert replay(recorded, [*strict, ("ReadWritePaths", "/var/lib/a")], HOST).blocked
    assert not replay(recorded, [*strict, ("ReadWritePaths", "/srv/root/var/lib/a")], HOST).blocked
    assert not replay(recorded, [*strict, ("ReadWritePaths", "+/var/lib/a")], HOST).blocked


def test_what_belongs_to_the_account_stays_writable_although_the_recorded_use_did_not_need_it() -> None:
    """A queue, a cache, a journal of changes: a feature that is switched on later, or that nobody used."""
    facts = frozenset({use("/var/lib/a/state", Access.CREATE)})
    recorded = Recording("r", phases=frozenset(Phase), account_directories=("/var/lib/a", "/var/spool/a"))
    known = Profile(Header(UnitSettings("a.service"), frozenset({recorded})), facts)

    decision = decide(known, HOST)

    paths = next(one.chosen for one in decision.choices if isinstance(one.chosen, ReadWritePaths))
    assert paths.values() == ("", "-/var/lib/a", "-/var/spool/a")
    assert "belongs to an account" in paths.kept_because("-/var/spool/a", decision.evidence)
    exact = {one.name: one.chosen.values() for one in decide(known, HOST, Level.STRICT).choices}
    assert exact["ReadWritePaths"] == ("", "-/var/lib/a")
