"""Whether BPF programs can be put on control groups: asked of the real kernel, with and without rights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from profiler.control_group_programs import refusal
from tests.requirements import require

REPOSITORY = Path(__file__).resolve().parents[2]
ASK = "from profiler.control_group_programs import refusal; print(refusal())"
WITHOUT_CAPABILITIES = ("--bounding-set=-all", "--inh-caps=-all")
NOBODY = ("--reuid=65534", "--regid=65534", "--clear-groups")


def test_root_may() -> None:
    require(os.geteuid() == 0, "needs root")
    assert refusal() == ""


@pytest.mark.parametrize(
    ("rights", "said"),
    [(WITHOUT_CAPABILITIES, "the kernel takes no BPF program from us: Operation not permitted"), (NOBODY, "")],
    ids=["root of a container", "a user, who cannot tell what root may do"],
)
def test_who_lacks_rights(rights: tuple[str, ...], said: str) -> None:
    require(os.geteuid() == 0, "needs root")
    done = subprocess.run(
        ["setpriv", *rights, "--", sys.executable, "-c", ASK],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=True,
    )
    assert done.stdout.strip() == said
