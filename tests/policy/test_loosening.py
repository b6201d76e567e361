"""What can be tried where the model has no answer: looser words, words that go, elements that are added."""

from __future__ import annotations

import pytest

from policy.directives.base import all_directives
from policy.drop_in import DropIn, parse
from policy.loosening import looser_values, pieces_of
from policy.settings import parse_settings
from tests.policy.services import HOST


def drop_in(*lines: str) -> DropIn:
    return parse("\n".join(["[Service]", *lines]))


@pytest.mark.parametrize(
    ("line", "looser"),
    [
        ("ProtectSystem=strict", ["full", "yes"]),
        ("ProtectHome=yes", ["tmpfs", "read-only"]),
        ("PrivateTmp=yes", []),
        ("LimitNOFILE=5", []),
        ("CapabilityBoundingSet=CAP_CHOWN", []),
    ],
)
def test_looser_words_come_strictest_first(line: str, looser: list[str]) -> None:
    name = line.partition("=")[0]

    assert [change.values[0] for change in looser_values(drop_in(line), name, HOST)] == looser


def test_words_can_go_one_by_one() -> None:
    drop = drop_in("InaccessiblePaths=/a /b", "UMask=077", "InaccessiblePaths=/c")
    (pieces,) = pieces_of(drop, "InaccessiblePaths", HOST)

    change = pieces.change(drop, [1, 2], "try")

    assert len(pieces) == 3
    assert change.applied_to(drop).assignments == (("UMask", "077"), ("InaccessiblePaths", "/a"))
    assert change.in_words == "take /b /c out of InaccessiblePaths="


@pytest.mark.parametrize("name", ["CapabilityBoundingSet", "RestrictAddressFamilies", "SystemCallFilter"])
def test_all_missing_elements_together_allow_all_that_is_known(name: str) -> None:
    value = {"CapabilityBoundingSet": "CAP_CHOWN", "RestrictAddressFamilies": "AF_UNIX"}.get(name, "@default")
    drop = drop_in(f"{name}={value}")
    pieces = pieces_of(drop, name, HOST)[-1]

    changed = pieces.change(drop, range(len(pieces)), "try").applied_to(drop)

    kind = all_directives()[name]
    present = parse_settings(changed.assignments, HOST)[name].elements() or kind.possible_elements(HOST)
    assert set(kind.possible_elements(HOST)) - set(present) <= HOST.expand(frozenset({"@default"}))


def test_quoted_words_are_left_alone() -> None:
    assert pieces_of(drop_in('ReadOnlyPaths="/a b" /c'), "ReadOnlyPaths", HOST) == ()


def test_a_path_can_go_from_a_list_that_allows() -> None:
    (pieces,) = pieces_of(drop_in("ReadWritePaths=/srv/a", "ReadWritePaths=/srv/missing"), "ReadWritePaths", HOST)

    assert [word for _, word in pieces.words] == ["/srv/a", "/srv/missing"]
