"""The paths of a recording as a tree: what was done where, and what the sandbox would allow there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from policy.behaviour import (
    WRITING,
    Access,
    Behaviour,
    DeviceNodeMade,
    Fact,
    FileKind,
    PathPair,
    PathUse,
    PrivilegeGained,
)
from policy.report.model import Place
from policy.sandbox.read_only import HAPPENED
from policy.sandbox.sandbox import Sandbox

_EXECUTING = frozenset({Access.EXECUTE, Access.MAP_EXECUTE})
_READING = frozenset({Access.READ, Access.READ_WRITE})
_ASKED = {"r": Access.READ, "w": Access.WRITE, "x": Access.EXECUTE}


DEEPEST = 40
"""Components of a path that are told apart: a hostile service makes directories as deep as it likes."""

MOST_CHILDREN = 250
"""Names in one directory that are listed; the others are put together."""


@dataclass
class _Node:
    used: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    kind: FileKind = FileKind.DIRECTORY
    is_used: bool = False
    was_there: bool = False
    children: dict[str, _Node] = field(default_factory=dict)


def path_tree(facts: Iterable[Fact], sandbox: Sandbox) -> Place:
    """Return the tree from the root; what the sandbox allows is asked for each place by itself."""
    root = _Node(was_there=True)
    for fact in facts:
        for path, letters, word, kind in _touched(fact.behaviour):
            happened = fact.outcome in HAPPENED
            node = _node_at(root, path)
            node.is_used = True
            node.words.add(word if happened else f"{word}: {fact.outcome}")
            node.was_there |= happened
            node.used |= set(letters) if happened else set()
            node.kind = node.kind if kind is FileKind.UNKNOWN else kind
    return _place("/", "", root, sandbox)


def _touched(behaviour: Behaviour) -> list[tuple[str, str, str, FileKind]]:
    # Each path with the letters of what was done, the word for it, and what is there.
    match behaviour:
        case PathUse(path=path, access=access, kind=kind):
            letters = ("r" if access in _READING else "") + ("x" if access in _EXECUTING else "")
            writes = access in WRITING and access is not Access.WRITE_PROBE
            return [(path, letters + ("w" if writes else ""), access.value, kind)]
        case PathPair(operation=operation, source=source, target=target):
            return [(path, "w", operation, FileKind.UNKNOWN) for path in (source, target)]
        case DeviceNodeMade(path=path, kind=kind):
            return [(path, "w", "mknod", kind)]
        case PrivilegeGained(path=path, how=how):
            return [(path, "x", how, FileKind.REGULAR)]
    return []


def _node_at(root: _Node, path: str) -> _Node:
    components = [component for component in path.split("/") if component]
    deep = components[DEEPEST:]
    node = root
    for component in [*components[:DEEPEST], *(["/".join(deep)] if deep else [])]:
        node = node.children.setdefault(component, _Node())
    return node


def _place(name: str, path: str, node: _Node, sandbox: Sandbox) -> Place:
    while len(node.children) == 1 and not node.is_used and path:
        ((component, child),) = node.children.items()
        name, path, node = f"{name}/{component}", f"{path}/{component}", child
    children = tuple(
        _place(component, f"{path}/{component}", node.children[component], sandbox)
        for component in sorted(node.children)[:MOST_CHILDREN]
    )
    if len(node.children) > MOST_CHILDREN:
        rest = [node.children[component] for component in sorted(node.children)[MOST_CHILDREN:]]
        children += (_together(rest, path),)
    used = node.used.union(*(child.used for child in children))
    return Place(
        name,
        path or "/",
        _in_order(used),
        _allowed(path or "/", node, sandbox),
        missing=node.is_used and not node.was_there and not children,
        details=tuple(sorted(node.words)),
        size=int(node.is_used) + sum(child.size for child in children),
        children=children,
    )


def _together(nodes: list[_Node], path: str) -> Place:
    used: set[str] = set()
    size, waiting = 0, list(nodes)
    while waiting:
        node = waiting.pop()
        used |= node.used
        size += node.is_used
        waiting += node.children.values()
    return Place(f"... and {len(nodes)} more", path, _in_order(used), _in_order(used), size=size)


def _allowed(path: str, node: _Node, sandbox: Sandbox) -> str:
    is_directory = bool(node.children) or node.kind is FileKind.DIRECTORY
    allowed = set()
    for letter, access in _ASKED.items():
        if is_directory and letter == "w":
            # A directory is written by making something in it.
            asked = PathUse(f"{path.rstrip('/')}/.new", Access.CREATE, FileKind.REGULAR)
        elif letter == "x":
            asked = PathUse(path, access, FileKind.REGULAR)
        else:
            asked = PathUse(path, access, FileKind.DIRECTORY if is_directory else node.kind)
        if sandbox.judge(Fact(asked)) is None:
            allowed.add(letter)
    return _in_order(allowed)


def _in_order(letters: Iterable[str]) -> str:
    return "".join(letter for letter in "rwx" if letter in set(letters))
