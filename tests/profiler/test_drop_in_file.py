"""Reading a drop-in from a file: ours, anybody's, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.drop_in import DropIn, Setting, parse
from policy.shipped_host_facts import for_version
from profiler import profile_file
from profiler.drop_in_file import LARGEST, origin_remarks, read_drop_in
from profiler.errors import ExitCode, UsageError


def test_what_was_written_reads_back(tmp_path: Path) -> None:
    drop_in = DropIn((Setting("PrivateTmp", "yes"),), tool_version="1")
    profile_file.write_text(tmp_path / "a.conf", drop_in.render(), mode=0o644)
    read = read_drop_in(tmp_path / "a.conf")
    assert read == drop_in
    assert read.digest_matches()


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (None, "cannot read .*No such file"),
        (b"", "there is no .Service. section"),
        (b"[Service]\nPrivateTmp\n", r"a\.conf:2: 'PrivateTmp' has no '='"),
        (b"[Service]\nA=\xff\n", r"a\.conf:2: .*UTF-8"),
        (b"\0" * 512, r"a\.conf:1: a NUL byte"),
        (b"#" * (LARGEST + 1), "too large"),
    ],
)
def test_what_systemd_would_not_read_is_a_usage_error(tmp_path: Path, contents: bytes | None, words: str) -> None:
    if contents is not None:
        (tmp_path / "a.conf").write_bytes(contents)
    with pytest.raises(UsageError, match=words) as error:
        read_drop_in(tmp_path / "a.conf")
    assert error.value.hint
    assert error.value.exit_code == ExitCode.USAGE


def test_a_drop_in_for_another_unit_or_systemd_is_told() -> None:
    drop_in = parse("# for one.service on systemd 252, from 3 facts\n[Service]\nProtectHome=yes\n")
    assert origin_remarks(drop_in, "one.service", for_version(252)) == []
    assert origin_remarks(drop_in, "two.service", for_version(257)) == [
        "warning: the drop-in was made for one.service, not for two.service",
        "note: the drop-in was made for systemd 252; here is 257",
    ]
    instance = parse("# for one@a.service on systemd 252, from 3 facts\n[Service]\nProtectHome=yes\n")
    assert origin_remarks(instance, "one@b.service", for_version(252)) == []
    assert origin_remarks(parse("[Service]\nProtectHome=yes\n"), "one.service", for_version(252)) == []
