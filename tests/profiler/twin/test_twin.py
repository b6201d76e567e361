"""A twin is a machine of its own with a real systemd, and what happens in it stays in it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from profiler import twin
from profiler.errors import CommandFailed, ToolError, UsageError
from profiler.machine import Host
from profiler.twin import state


def output(machine: twin.Twin, *arguments: str) -> str:
    return machine.run(arguments).stdout.strip()


def under(machine: twin.Twin, script: str, *properties: str) -> str:
    """Run a shell script as a transient service with these properties; return how it ended and what it printed."""
    options = [f"--property={setting}" for setting in properties]
    command = ["systemd-run", "--quiet", "--wait", "--pipe", *options, "--", "bash", "-c", script]
    completed = machine.run(command, check=False, timeout=30)
    return f"{completed.status} {completed.stdout}{completed.stderr}"


def test_systemd_is_pid_1_and_content(fresh_twin: twin.Twin) -> None:
    assert output(fresh_twin, "cat", "/proc/1/comm") == "systemd"
    assert output(fresh_twin, "systemctl", "is-system-running") == "running"
    assert output(fresh_twin, "systemctl", "--failed", "--plain", "--no-legend") == ""
    assert (fresh_twin.root / "run/systemd/system").is_dir()


def test_only_what_is_asked_is_started(fresh_twin: twin.Twin) -> None:
    running = output(
        fresh_twin, "systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend"
    )
    names = {line.split()[0] for line in running.splitlines()}
    assert "systemd-journald.service" in names
    assert names <= {"systemd-journald.service", "dbus.service"}
    assert output(fresh_twin, "systemctl", "list-jobs", "--no-legend") in ("", "No jobs running.")


def test_every_namespace_is_the_twins_own(session_twin: twin.Twin) -> None:
    for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        inside = output(session_twin, "readlink", f"/proc/self/ns/{kind}")
        assert inside == str(Path(f"/proc/{session_twin.leader}/ns/{kind}").readlink())
        assert inside != str(Path(f"/proc/self/ns/{kind}").readlink())


def test_it_is_this_machine(session_twin: twin.Twin) -> None:
    assert output(session_twin, "hostname") == os.uname().nodename
    for path in ("/etc/passwd", "/etc/debian_version", "/usr/bin/bash"):
        assert (session_twin.root / path.lstrip("/")).read_bytes() == Path(path).read_bytes()
    for path in ("/", "/etc", "/var", "/usr", "/root", "/var/lib"):
        here, there = Path(path).stat(), session_twin.path(path).stat()
        assert (there.st_mode, there.st_uid, there.st_gid) == (here.st_mode, here.st_uid, here.st_gid), path


def test_the_machine_id_is_new_and_journal_and_memory_are_empty(session_twin: twin.Twin) -> None:
    identifier = output(session_twin, "cat", "/etc/machine-id")
    assert len(identifier) == 32
    assert identifier != Path("/etc/machine-id").read_text().strip()
    assert output(session_twin, "journalctl", "--header").count(identifier) >= 1
    complaints = session_twin.run(["journalctl", "-q", "--grep", "machine.id|journal.*(error|fail)"], check=False)
    assert complaints.stdout == ""
    for fresh in ("/tmp", "/run"):
        assert output(session_twin, "stat", "--file-system", "--format=%T", fresh) == "tmpfs"


def test_nothing_written_in_it_reaches_the_host(session_twin: twin.Twin) -> None:
    mark = f"unit-tailor-test-{secrets.token_hex(6)}"
    places = [f"{top}/{mark}" for top in ("/etc", "/var/lib", "/usr/bin", "/root", "/home", "/tmp", "/run", "/opt")]
    session_twin.run(["touch", *places])
    try:
        assert all(session_twin.path(place).exists() for place in places)
        assert not [place for place in places if Path(place).exists()]
        session_twin.run(["sh", "-c", "echo changed >> /etc/issue; rm /etc/debian_version"])
        assert "changed" not in Path("/etc/issue").read_text()
        assert Path("/etc/debian_version").exists()
        assert not session_twin.path("/etc/debian_version").exists()
    finally:
        session_twin.run(["rm", "-f", *places])


def test_its_state_directory_is_hidden_from_it(session_twin: twin.Twin) -> None:
    assert session_twin.path(str(state.state_directory())).is_dir()
    assert list(session_twin.path(str(state.state_directory())).iterdir()) == []


def test_directories_of_the_host_can_be_renamed(fresh_twin: twin.Twin) -> None:
    fresh_twin.run(["mv", "-T", "--no-copy" if _mv_can_refuse_to_copy() else "-v", "/etc/apt", "/etc/renamed"])
    script = "import os; os.rename('/var/lib/dpkg', '/var/lib/renamed'); os.rename('/etc/renamed', '/etc/apt')"
    fresh_twin.run(["python3", "-c", script])
    assert (fresh_twin.root / "var/lib/renamed/status").is_file()
    assert Path("/var/lib/dpkg/status").is_file()


def _mv_can_refuse_to_copy() -> bool:
    return "--no-copy" in subprocess.run(["mv", "--help"], capture_output=True, text=True, check=True).stdout


def test_files_of_one_file_system_have_one_device_number(session_twin: twin.Twin) -> None:
    session_twin.run(["touch", "/etc/new-file"])
    numbers = output(session_twin, "stat", "--format=%d", "/", "/etc", "/etc/passwd", "/etc/new-file", "/usr/bin/bash")
    assert len(set(numbers.split())) == 1


def test_services_may_be_started_where_an_image_forbids_it(session_twin: twin.Twin) -> None:
    assert not session_twin.path("/usr/sbin/policy-rc.d").exists()


def test_status_output_and_input_of_commands_pass_through(session_twin: twin.Twin) -> None:
    completed = session_twin.run(["sh", "-c", "cat; echo oops >&2; exit 7"], stdin="näin\n", check=False)
    assert (completed.status, completed.stdout, completed.stderr) == (7, "näin\n", "oops\n")
    with pytest.raises(CommandFailed) as caught:
        session_twin.run(["sh", "-c", "echo why >&2; exit 3"])
    assert caught.value.status == 3
    assert caught.value.message == "sh failed (exit status 3): why"
    assert caught.value.hint == "the command was: sh -c 'echo why >&2; exit 3'"


def test_arguments_are_not_interpreted_on_the_way(session_twin: twin.Twin) -> None:
    hostile = ["$HOME", "`id`", "a b", "", "-x", "--", "'\"\\", "new\nline", "%s", "*"]
    printed = session_twin.run(["printf", r"%s\0", *hostile]).stdout
    assert printed.split("\0")[:-1] == hostile


def test_a_command_that_takes_too_long_is_ended_in_the_twin_too(session_twin: twin.Twin) -> None:
    with pytest.raises(ToolError, match=r"^sleep did not end within"):
        session_twin.run(["sleep", "4321"], timeout=0.3)
    assert session_twin.run(["pgrep", "-f", "^sleep 4321$"], check=False).stdout == ""


def test_commands_run_in_a_group_of_the_twin(session_twin: twin.Twin) -> None:
    group = [line for line in output(session_twin, "cat", "/proc/self/cgroup").splitlines() if line.startswith("0::")]
    assert group == ["0::/unit-tailor-commands.scope"]
    assert output(session_twin, "systemd-run", "--scope", "--quiet", "--unit=s1", "cat", "/proc/self/cgroup").endswith(
        "0::/system.slice/s1.scope"
    )


def test_cgroups_are_unified_and_the_kernel_looks_whole(session_twin: twin.Twin) -> None:
    assert output(session_twin, "stat", "--file-system", "--format=%T", "/sys/fs/cgroup") == "cgroup2fs"
    inside, here = set(output(session_twin, "ls", "/sys").split()), {path.name for path in Path("/sys").iterdir()}
    assert inside == here


def test_capabilities_are_those_of_this_machine(session_twin: twin.Twin) -> None:
    def bounding(text: str) -> str:
        return next(line for line in text.splitlines() if line.startswith("CapBnd"))

    here = Path("/proc/self/status").read_text()
    assert bounding(session_twin.path("/proc/1/status").read_text()) == bounding(here)
    assert bounding(output(session_twin, "cat", "/proc/self/status")) == bounding(here)


@pytest.mark.parametrize(
    ("properties", "script", "says"),
    [
        (["ProtectSystem=strict"], "touch /var/lib/x", "Read-only file system"),
        (["ProtectHome=yes"], "cat /root/.profile", "No such file"),
        (["PrivateDevices=yes"], "ls /dev/fuse", "No such file"),
        (["PrivateTmp=yes"], "ls -A /tmp; touch /tmp/x && echo fine", "fine"),
        (["PrivateUsers=yes"], "chown daemon /etc/issue", "Invalid argument"),
        (["PrivateNetwork=yes"], "ls /sys/class/net /proc/sys/net/ipv4/conf/eth0", "No such file"),
        (["ProtectKernelTunables=yes"], "echo 1 >/proc/sys/net/ipv4/ip_forward", "Read-only file system"),
        (["ProtectControlGroups=yes"], "mkdir /sys/fs/cgroup/x", "Read-only file system"),
        (["ProtectKernelLogs=yes"], "dmesg", "Operation not permitted"),
        (["ProtectHostname=yes"], "hostname x", "must be root"),
        (["CapabilityBoundingSet="], "chown nobody /etc/issue", "Operation not permitted"),
        (["SystemCallFilter=~chmod fchmodat"], "chmod 600 /etc/issue; echo end", "Bad system call"),
        (["SystemCallFilter=~fchmodat", "SystemCallErrorNumber=EXDEV"], "chmod 600 /etc/issue", "Invalid cross-device"),
        (["RestrictAddressFamilies=AF_UNIX"], "exec 3<>/dev/udp/127.0.0.1/9", "not supported by protocol"),
        (["RestrictNamespaces=yes"], "unshare --net true", "Operation not permitted"),
        (["RestrictSUIDSGID=yes"], "touch /var/x; chmod u+s /var/x", "Operation not permitted"),
        (["NoExecPaths=/usr/bin/id"], "/usr/bin/id", "Permission denied"),
        (["IPAddressDeny=any"], "echo x >/dev/udp/127.0.0.1/9", "Operation not permitted"),
        (["DevicePolicy=closed"], "exec 3<>/dev/net/tun", "Operation not permitted"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_the_sandbox_is_enforced(session_twin: twin.Twin, properties: list[str], script: str, says: str) -> None:
    assert says in under(session_twin, script, *properties)
    if says != "fine":
        assert says not in under(session_twin, script), "it fails without the directive as well, which proves nothing"


def test_blocked_calls_are_logged_by_the_kernel(session_twin: twin.Twin) -> None:
    name = f"t{secrets.token_hex(4)}"
    session_twin.run(["cp", "/usr/bin/chmod", f"/usr/bin/{name}"])
    deadline = time.monotonic() + 30
    logged = ""
    # The kernel limits the rate of these messages for the whole machine, on which other tests run too.
    while name not in logged and time.monotonic() < deadline:
        under(session_twin, f"{name} 600 /etc/issue", "SystemCallFilter=~fchmodat", "SystemCallErrorNumber=EPERM")
        logged = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
        time.sleep(0.2)
    assert [line for line in logged.splitlines() if "type=1326" in line and f'comm="{name}"' in line]


def test_several_twins_are_strangers(session_twin: twin.Twin, fresh_twin: twin.Twin) -> None:
    assert session_twin.name != fresh_twin.name
    fresh_twin.run(["touch", "/etc/only-here"])
    assert not session_twin.path("/etc/only-here").exists()
    assert output(session_twin, "cat", "/etc/machine-id") != output(fresh_twin, "cat", "/etc/machine-id")
    assert {session_twin.name, fresh_twin.name} <= {machine.name for machine in twin.running()}


def test_a_twin_that_is_down_is_not_entered(tmp_path: Path) -> None:
    with twin.up() as machine:
        pass
    for use in (lambda: machine.run(["true"]), lambda: machine.root, lambda: machine.command(["true"])):
        with pytest.raises(ToolError, match="is not running"):
            use()
    with pytest.raises(UsageError, match="there is no twin named"):
        twin.find(machine.name)


def test_a_name_is_taken_once(fresh_twin: twin.Twin) -> None:
    with pytest.raises(UsageError, match="already"):
        twin.up(name=fresh_twin.name)
    assert output(fresh_twin, "echo", "alive") == "alive"


def test_a_twin_can_be_found_and_taken_down_by_others() -> None:
    name = state.random_name()
    with twin.up(name=name) as machine:
        found = twin.find(name)
        assert found.leader == machine.leader
        found.down()
        assert not machine.record.leader or not machine.record.leader.is_alive()
    assert not (state.twins_directory() / name).exists()


def test_the_host_has_no_systemd_or_is_left_alone(session_twin: twin.Twin) -> None:
    """The twin's mounts are not the host's: its root is seen through its PID 1 alone."""
    text = Path("/proc/self/mountinfo").read_text()
    assert session_twin.name not in text
    assert Host.has_systemd() == Path("/run/systemd/system").is_dir()


def test_missing_nspawn_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present = {program: shutil.which(program) for program in twin.twin.TOOLS}
    for program, place in present.items():
        if place and program != "systemd-nspawn":
            (tmp_path / program).symlink_to(place)
    monkeypatch.setattr("profiler.run.environment", lambda extra=None: {"PATH": str(tmp_path), **(extra or {})})
    with pytest.raises(ToolError) as caught:
        twin.require_possible()
    assert caught.value.message == "a twin needs systemd-nspawn, which is not installed"
    assert caught.value.hint == "run: apt-get install systemd-container"
