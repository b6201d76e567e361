"""Twins for tests: one per set of packages and session, taken down at its end. Tests undo what they change in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from profiler import twin
from profiler.errors import ToolError
from profiler.machine_choice import HIDDEN_IN_A_TWIN
from tests.requirements import require

REPOSITORY = Path(__file__).resolve().parent.parent
CHECKOUT = (REPOSITORY,) if any(place in REPOSITORY.parents for place in HIDDEN_IN_A_TWIN) else ()
"""The checkout, where a twin would not see it: the workloads of the fixtures are run inside of twins."""

TwinWith = Callable[..., twin.Twin]


def require_twin() -> None:
    """Skip the running test (or fail it, where everything is required) if no twin can be made on this machine."""
    try:
        twin.require_possible()
    except ToolError as error:
        require(False, f"{error.message}; {error.hint}")


@pytest.fixture(scope="session")
def twin_with() -> Iterator[TwinWith]:
    """Return a function that gives the session's twin with these packages: ``twin_with("nginx", "redis-server")``."""
    booted: dict[tuple[str, ...], twin.Twin] = {}
    with ExitStack() as stack:

        def give(*packages: str) -> twin.Twin:
            require_twin()
            wanted = tuple(sorted(set(packages)))
            if wanted not in booted:
                booted[wanted] = stack.enter_context(twin.up(packages=wanted, visible=CHECKOUT))
            return booted[wanted]

        yield give


@pytest.fixture(scope="session")
def session_twin(twin_with: TwinWith) -> twin.Twin:
    """The session's twin without further packages."""
    return twin_with()


@pytest.fixture
def fresh_twin() -> Iterator[twin.Twin]:
    """A twin for one test alone."""
    require_twin()
    with twin.up(visible=CHECKOUT) as machine:
        yield machine
