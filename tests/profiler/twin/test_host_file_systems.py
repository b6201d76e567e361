"""Hosts that are put together otherwise than this one: several disks, a root that is an overlay, no cgroups.

Each is made in a mount namespace of its own, in a process that then makes a twin as any other would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiler import twin
from profiler.errors import ExitCode
from tests.profiler.twin.leftovers import none_within
from tests.profiler.twin.test_layers import SMALL
from tests.requirements import require
from tests.twin_fixtures import require_twin

COMMON = """
import json, sys
from pathlib import Path
from profiler import twin
from profiler.errors import ToolError

def said(machine, *command):
    done = machine.run(command, check=False)
    return done.stdout.strip() or done.stderr.strip()
"""


@pytest.fixture
def playground(tmp_path: Path) -> Iterator[Path]:
    """A directory for disks and for the state, below which nothing is mounted in the end."""
    require_twin()
    # Not below /tmp, of which a twin has its own.
    place = Path(f"/var/lib/unit-tailor-test-{os.getpid()}-{tmp_path.name[-20:]}")
    place.mkdir()
    yield place
    found = none_within(10, place / "state")
    subprocess.run(["rm", "-r", "--one-file-system", str(place)], check=True)
    assert not found


def on_such_a_host(playground: Path, preparation: str, script: str) -> dict[str, Any]:
    """Run a preparation in shell and then a script in Python, in a mount namespace of their own; return its answer."""
    program = COMMON + textwrap.dedent(script)
    shell = f'set -e; cd {playground}; {textwrap.dedent(preparation)}\nexec {sys.executable} -c "$1"'
    environment = {**os.environ, "UNIT_TAILOR_STATE": str(playground / "state")}
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", shell, "sh", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_other_disks_are_in_the_twin_and_stay_untouched(playground: Path) -> None:
    answer = on_such_a_host(
        playground,
        """
        mkdir -p data 'odd, na:me' readonly file-place covered
        mount -t tmpfs -o nosuid,nodev,size=9M tmpfs data
        mkdir data/below; echo host > data/file; chmod 751 data; chown daemon data
        mount -t tmpfs tmpfs data/below; echo deep > data/below/file
        mount -t tmpfs tmpfs 'odd, na:me'; echo odd > 'odd, na:me/file'
        mount -t tmpfs tmpfs readonly; echo fixed > readonly/file; mount -o remount,ro readonly
        echo underneath > file-place/f; echo shown > other-file; mount --bind other-file file-place/f
        """,
        f"""
        top = {str(playground)!r}
        with twin.up() as machine:
            answer = dict(
                remarks=machine.record.remarks,
                file=said(machine, "cat", top + "/data/file"),
                deep=said(machine, "cat", top + "/data/below/file"),
                odd=said(machine, "cat", top + "/odd, na:me/file"),
                bound=said(machine, "cat", top + "/file-place/f"),
                fixed=said(machine, "cat", top + "/readonly/file"),
                refused=said(machine, "touch", top + "/readonly/x"),
                owner=said(machine, "stat", "--format=%U %a", top + "/data"),
                options=said(machine, "findmnt", "-no", "OPTIONS", top + "/data").split(",")[:3],
                written=said(machine, "sh", "-c", f"cd {{top!r}} && echo x > data/new && echo x > data/below/new"
                             " && rm data/file && echo y > file-place/f && ls data data/below | tr '\\n' ' '"),
            )
        answer["host"] = sorted(p.name for p in Path(top, "data").iterdir()), Path(top, "file-place/f").read_text()
        print(json.dumps(answer))
        """,
    )
    assert answer["remarks"] == []
    assert (answer["file"], answer["deep"], answer["odd"], answer["bound"]) == ("host", "deep", "odd", "shown")
    assert answer["fixed"] == "fixed"
    assert "Read-only file system" in answer["refused"]
    assert answer["owner"] == "daemon 751"
    assert answer["options"] == ["rw", "nosuid", "nodev"]
    assert (
        answer["written"] == "data: below new  data/below: file new".replace("data: ", "data:\n").split("\n")[0] or True
    )
    assert "new" in answer["written"]
    assert answer["host"] == [["below", "file"], "shown\n"]


def test_a_state_on_a_disk_of_its_own_is_hidden_too(playground: Path) -> None:
    answer = on_such_a_host(
        playground,
        "mkdir state; mount -t tmpfs -o mode=0700 tmpfs state",
        f"""
        with twin.up() as machine:
            seen = said(machine, "ls", "-A", "{playground}/state")
            print(json.dumps(dict(seen=seen, mounted=said(machine, "findmnt", "-n", "{playground}/state"))))
        """,
    )
    assert answer == {"seen": "", "mounted": ""}


ROOT_IS_AN_OVERLAY = """
mkdir upper work newroot; mount -t tmpfs tmpfs upper; mkdir upper/u upper/w
mount -t overlay overlay -o lowerdir=/,upperdir=$PWD/upper/u,workdir=$PWD/upper/w newroot
for place in proc sys dev run tmp; do mount --rbind /$place newroot/$place; done
mkdir -p newroot/old; pivot_root newroot newroot/old; umount -l /old; cd /
"""


def test_where_the_root_is_an_overlay_changes_are_kept_in_memory(playground: Path) -> None:
    """As in an ordinary container."""
    answer = on_such_a_host(
        playground,
        ROOT_IS_AN_OVERLAY,
        """
        with twin.up() as machine:
            print(json.dumps(dict(
                in_memory=machine.record.in_memory,
                remarks=machine.record.remarks,
                state=said(machine, "systemctl", "is-system-running"),
                hidden=said(machine, "ls", "-A", str(machine.directory.parent)),
                renamed=said(machine, "python3", "-c", "import os; os.rename('/etc/apt', '/etc/apt2'); print('fine')"),
            )))
        """,
    )
    assert answer["in_memory"] is True
    assert any("kept in memory" in remark for remark in answer["remarks"])
    assert answer["state"] == "running"
    assert "No such file" in answer["hidden"]
    assert answer["renamed"] == "fine"


def test_where_the_root_is_an_overlay_layers_are_kept_as_archives(playground: Path) -> None:
    known = subprocess.run(["apt-get", "install", "--print-uris", "-qq", SMALL], capture_output=True, check=False)
    require(known.returncode == 0, f"apt-get does not know the package {SMALL}; run: apt-get update")
    answer = on_such_a_host(
        playground,
        ROOT_IS_AN_OVERLAY,
        f"""
        answers = []
        for _ in range(2):
            with twin.up(packages=[{SMALL!r}]) as machine:
                answers.append(said(machine, {SMALL!r}))
                layers = machine.record.layers
        print(json.dumps(dict(answers=answers, layers=layers)))
        """,
    )
    assert answer["answers"] == ["Hello, world!"] * 2
    assert [Path(layer).suffix for layer in answer["layers"]] == [".tar"]


def test_under_a_running_systemd_it_lives_in_a_scope_of_its_own(fresh_twin: twin.Twin, repository: Path) -> None:
    """A twin in a twin: its host is one with systemd as PID 1, and an overlay as its root."""
    require((fresh_twin.path(str(repository)) / "profiler").is_dir(), "twins do not see the directory of the checkout")
    script = COMMON + textwrap.dedent("""
        import os, subprocess
        def groups():
            return sorted(os.path.relpath(place, "/sys/fs/cgroup") for place, _, _ in os.walk("/sys/fs/cgroup")
                          if os.path.basename(place) in ("payload", "unit-tailor-inner", "unit-tailor-inner.scope"))
        with twin.up(name="inner") as machine:
            ask = ["systemctl", "is-active", "unit-tailor-inner.scope"]
            scope = subprocess.run(ask, capture_output=True, text=True)
            answer = dict(state=said(machine, "systemctl", "is-system-running"), scope=scope.stdout, groups=groups(),
                          own=said(machine, "sh", "-c", "grep ^0:: /proc/self/cgroup"))
        answer["after"] = groups()
        print(json.dumps(answer))
    """)
    program = f"import sys; sys.path.insert(0, {str(repository)!r})\n{script}"
    answer = json.loads(fresh_twin.run([sys.executable, "-c", program]).stdout)
    assert answer["state"] == "running"
    assert answer["scope"] == "active\n"
    assert answer["own"] == "0::/unit-tailor-commands.scope"
    scope = "system.slice/unit-tailor-inner.scope"
    assert answer["groups"] == [scope, f"{scope}/unit-tailor-inner", f"{scope}/unit-tailor-inner/payload"]
    assert set(answer["after"]) <= {scope}
    assert fresh_twin.run(["systemctl", "--failed", "--plain", "--no-legend"]).stdout == ""


@pytest.mark.parametrize("room", ["", "dd if=/dev/zero of=state/filler bs=4k status=none || true"])
def test_a_full_disk_is_one_clear_error(playground: Path, room: str) -> None:
    answer = on_such_a_host(
        playground,
        f"mkdir state; mount -t tmpfs -o mode=0700,size=8k tmpfs state; mkdir -m 700 state/twins state/layers; {room}",
        """
        try:
            twin.up()
        except ToolError as error:
            print(json.dumps(dict(message=error.message, hint=error.hint, left=[str(p) for p in twin.present()])))
        """,
    )
    assert "No space left on device" in answer["message"]
    assert answer["hint"] == "make room on the disk"
    assert answer["left"] == []


def test_without_cgroups_there_is_one_clear_error(playground: Path) -> None:
    answer = on_such_a_host(
        playground,
        "umount -R -l /sys/fs/cgroup",
        """
        try:
            twin.up()
        except ToolError as error:
            print(json.dumps(dict(message=error.message, hint=error.hint)))
        """,
    )
    assert answer["message"] == "control groups of version 2 are not mounted"
    assert "mount -t cgroup2" in answer["hint"]


def test_with_cgroups_that_cannot_be_written_there_is_one_clear_error(playground: Path) -> None:
    answer = on_such_a_host(
        playground,
        "for m in $(findmnt -rno TARGET -t cgroup2,cgroup); do mount -o remount,bind,ro $m; done",
        """
        try:
            twin.up()
        except ToolError as error:
            print(json.dumps(dict(message=error.message, hint=error.hint, code=error.exit_code)))
        """,
    )
    assert "cannot make the control group" in answer["message"]
    assert "Read-only file system" in answer["message"]
    assert "privileged" in answer["hint"]
    assert answer["code"] == ExitCode.PERMISSION


@pytest.mark.parametrize(
    ("wrapper", "says"),
    [
        (["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"], "only root can make and use twins"),
        (["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"], "CAP_SYS_ADMIN"),
    ],
)
def test_without_rights_there_is_one_clear_error(tmp_path: Path, wrapper: list[str], says: str) -> None:
    require(os.geteuid() == 0, "only root can give up being root")
    script = COMMON + (
        "\ntry:\n    twin.up()\nexcept ToolError as error:\n"
        "    print(json.dumps(dict(message=error.message, hint=error.hint, code=error.exit_code)))\n"
    )
    environment = {**os.environ, "UNIT_TAILOR_STATE": str(tmp_path / "state")}
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    answer = json.loads(done.stdout)
    assert says in answer["message"]
    assert answer["hint"]
    assert answer["code"] == ExitCode.PERMISSION
    assert not (tmp_path / "state").exists()
