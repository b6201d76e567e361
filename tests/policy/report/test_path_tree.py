"""The tree of paths: nothing is lost, directories sum up, and what the sandbox would allow is what it says."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from policy.behaviour import Access, Fact, FileKind, PathPair, PathUse
from policy.report.model import Place
from policy.report.path_tree import DEEPEST, MOST_CHILDREN, path_tree
from policy.sandbox.sandbox import Sandbox
from policy.settings import build_sandbox, parse_settings
from policy.unit_settings import UnitSettings
from tests.policy.services import HOST

OPEN = build_sandbox({}, HOST, UnitSettings("a.service"))
paths = st.lists(st.sampled_from(["a", "b", "c d", "e\udcff", "<i>"]), min_size=1, max_size=5).map("/{}".format)


def sandbox(*assignments: tuple[str, str]) -> Sandbox:
    return build_sandbox(parse_settings(assignments, HOST), HOST, UnitSettings("a.service"))


def everything(place: Place) -> Iterator[Place]:
    yield place
    for child in place.children:
        yield from everything(child)


def at(place: Place, path: str) -> Place:
    return next(one for one in everything(place) if one.path == path)


@given(
    st.frozensets(
        st.lists(st.sampled_from(["a", "b", "c d", "e\udcff", "<i>"]), min_size=1, max_size=5).map(
            lambda names: "/" + "/".join(names)
        ),
        max_size=20,
    )
)
def test_every_path_is_there_once(used: frozenset[str]) -> None:
    tree = path_tree([Fact(PathUse(path, Access.READ)) for path in sorted(used)], OPEN)
    shown = [one.path for one in everything(tree)]
    assert used <= set(shown)
    assert len(shown) == len(set(shown))
    assert tree.size == len(used)


def test_directories_sum_up_and_chains_are_one_place() -> None:
    tree = path_tree(
        [
            Fact(PathUse("/usr/lib/a/one.so", Access.MAP_EXECUTE, FileKind.REGULAR)),
            Fact(PathUse("/usr/lib/a/two", Access.READ, FileKind.REGULAR)),
            Fact(PathPair("rename", "/var/x", "/var/y")),
        ],
        OPEN,
    )
    assert tree.used == "rwx"
    assert [(child.name, child.used, child.size) for child in tree.children] == [
        ("usr/lib/a", "rx", 2),
        ("var", "w", 2),
    ]


def test_what_failed_is_not_used_and_what_was_never_there_is_missing() -> None:
    tree = path_tree(
        [Fact(PathUse("/etc/a", Access.READ), "ENOENT"), Fact(PathUse("/etc/b", Access.WRITE), "EACCES")], OPEN
    )
    assert (at(tree, "/etc/a").used, at(tree, "/etc/a").missing) == ("", True)
    assert at(tree, "/etc/b").details == ("write: EACCES",)


def test_the_sandbox_is_asked_what_it_allows() -> None:
    facts = [
        Fact(PathUse("/etc/a", Access.READ, FileKind.REGULAR)),
        Fact(PathUse("/var/lib/a/x", Access.CREATE, FileKind.REGULAR)),
        Fact(PathUse("/home/a/x", Access.READ, FileKind.REGULAR), "ENOENT"),
    ]
    tree = path_tree(
        facts, sandbox(("ProtectSystem", "strict"), ("ReadWritePaths", "/var/lib/a"), ("ProtectHome", "yes"))
    )
    assert at(tree, "/etc/a").allowed == "rx"
    assert at(tree, "/var/lib/a/x").allowed == "rwx"
    assert "r" not in at(tree, "/home/a/x").allowed


def test_a_hostile_service_makes_neither_a_deep_nor_an_endless_tree() -> None:
    deep = Fact(PathUse("/" + "/".join(["d"] * 2000), Access.READ))
    wide = [Fact(PathUse(f"/tmp/{number}", Access.CREATE)) for number in range(MOST_CHILDREN + 50)]
    tree = path_tree(
        [deep, *(Fact(PathUse("/" + "/".join(["d"] * n), Access.READ)) for n in range(1, 100)), *wide], OPEN
    )

    def depth(place: Place) -> int:
        return 1 + max(map(depth, place.children), default=0)

    assert depth(tree) <= DEEPEST + 2
    names = at(tree, "/tmp").children
    assert len(names) == MOST_CHILDREN + 1
    assert (names[-1].name, names[-1].size) == ("... and 50 more", 50)
