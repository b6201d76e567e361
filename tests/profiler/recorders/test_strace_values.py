"""Arguments as strace prints them: real shapes with their values, and what must be refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.recorders.base import Descriptor, Struct, Symbol, Value
from profiler.recorders.strace_values import AT_FDCWD, TRUNCATED, Unreadable, arguments


def hexadecimal(text: bytes) -> bytes:
    """Return the text as strace -xx prints it between its quotes or angle brackets."""
    return b"".join(b"\\x%02x" % byte for byte in text)


def quoted(text: bytes) -> bytes:
    return b'"' + hexadecimal(text) + b'"'


SHAPES: list[tuple[bytes, tuple[Value, ...]]] = [
    (b"", ()),
    (b"NULL", (None,)),
    (b"0, -1, 0x1f, 0644, 00", (0, -1, 31, 0o644, 0)),
    (b"8192*1024", (8388608,)),
    (b"3<" + hexadecimal(b"/a b") + b">", (Descriptor(3, b"/a b"),)),
    (b"4<" + hexadecimal(b"/gone") + b">(deleted)", (Descriptor(4, b"/gone", deleted=True),)),
    (b"5<" + hexadecimal(b"socket:[12]") + b">, 6", (Descriptor(5, b"socket:[12]"), 6)),
    (b"AT_FDCWD<" + hexadecimal(b"/") + b">, " + quoted(b"x"), (Descriptor(AT_FDCWD, b"/"), b"x")),
    (b"AT_FDCWD, " + quoted(b""), (Descriptor(AT_FDCWD), b"")),
    (quoted(b'newline\n"') + b", O_RDONLY|O_CLOEXEC|0x40", (b'newline\n"', Symbol("O_RDONLY|O_CLOEXEC|0x40"))),
    (quoted(b"cut") + b"..., 7", (TRUNCATED, 7)),
    (b"0x10, 0x5 /* O_??? */, S_IFREG|0644", (16, 5, Symbol("S_IFREG|0644"))),
    (b"[" + quoted(b"a") + b", " + quoted(b"b") + b", ...], 0x7ff /* 40 vars */", ((b"a", b"b", TRUNCATED), 0x7FF)),
    (b"[/* 16 vars */]", ((TRUNCATED,),)),
    (b"0x5581 /* 12 entries */, 32768", (0x5581, 32768)),
    (b"[INT TERM RT_1]", ((Symbol("INT"), Symbol("TERM"), Symbol("RT_1")),)),
    (b"~[RTMIN RT_1], []", (Symbol("~[RTMIN RT_1]"), ())),
    (b"[3<\\x2f> 4<\\x2f>]", ((Descriptor(3, b"/"), Descriptor(4, b"/")),)),
    (b"[128 => 16]", ((16,),)),
    (b"[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]", ((Struct({"0": Symbol("WIFEXITED(s) && WEXITSTATUS(s) == 0")}),),)),
    (
        b"{st_mode=S_IFCHR|0666, st_rdev=makedev(0x1, 0x3), ...}, AT_EMPTY_PATH",
        (
            Struct({"st_mode": Symbol("S_IFCHR|0666"), "st_rdev": Symbol("makedev(0x1, 0x3)")}),
            Symbol("AT_EMPTY_PATH"),
        ),
    ),
    (
        b'{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16',
        (Struct({"sa_family": Symbol("AF_INET"), "sin_port": 80, "sin_addr": b"127.0.0.1"}), 16),
    ),
    (
        b"{sin_addr=inet_addr(" + quoted(b"1.2.3.4") + b"), inet_pton(AF_INET6, " + quoted(b"::1") + b", &sin6_addr)}",
        (Struct({"sin_addr": b"1.2.3.4", "sin6_addr": b"::1"}),),
    ),
    (
        b"{sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), "
        b'inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28',
        (
            Struct(
                {
                    "sa_family": Symbol("AF_INET6"),
                    "sin6_port": 53,
                    "sin6_flowinfo": 0,
                    "sin6_addr": b"::1",
                    "sin6_scope_id": 0,
                }
            ),
            28,
        ),
    ),
    (
        b'{ipv6mr_multiaddr=inet_pton(AF_INET6, "ff02::1"), ipv6mr_interface=if_nametoindex("\\x6c\\x6f")}',
        (
            Struct(
                {"ipv6mr_multiaddr": b"ff02::1", "ipv6mr_interface": Symbol('if_nametoindex("\\x6c\\x6f")')},
            ),
        ),
    ),
    (
        b"{sa_family=AF_UNIX, sun_path=" + quoted(b"/run/x") + b"}, "
        b"{sa_family=AF_UNIX, sun_path=@" + quoted(b"y\xff") + b"}",
        (
            Struct({"sa_family": Symbol("AF_UNIX"), "sun_path": b"/run/x"}),
            Struct({"sa_family": Symbol("AF_UNIX"), "sun_path": b"\0y\xff"}),
        ),
    ),
    (
        b"{sa_family=0x63, sa_data=" + quoted(b"zz") + b"}",
        (Struct({"sa_family": 0x63, "sa_data": b"zz"}),),
    ),
    (
        b"child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f",
        (Struct({"child_stack": None, "flags": Symbol("CLONE_CHILD_CLEARTID|SIGCHLD"), "child_tidptr": 0x7F}),),
    ),
    (
        b"{flags=CLONE_VM|CLONE_THREAD, parent_tid=0x7f, exit_signal=0} => {parent_tid=[52]}, 88",
        (Struct({"flags": Symbol("CLONE_VM|CLONE_THREAD"), "parent_tid": (52,), "exit_signal": 0}), 88),
    ),
    (
        b"{effective=1<<CAP_CHOWN|1<<CAP_KILL, permitted=0}",
        (Struct({"effective": Symbol("1<<CAP_CHOWN|1<<CAP_KILL"), "permitted": 0}),),
    ),
    (
        b"{msg_name=NULL, msg_iov=[{iov_base=" + quoted(b"m") + b", iov_len=1}], msg_control=[{cmsg_len=20, "
        b"cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[5<\\x2f>]}], msg_flags=MSG_NOSIGNAL}, 0",
        (
            Struct(
                {
                    "msg_name": None,
                    "msg_iov": (Struct({"iov_base": b"m", "iov_len": 1}),),
                    "msg_control": (
                        Struct(
                            {
                                "cmsg_len": 20,
                                "cmsg_level": Symbol("SOL_SOCKET"),
                                "cmsg_type": Symbol("SCM_RIGHTS"),
                                "cmsg_data": (Descriptor(5, b"/"),),
                            }
                        ),
                    ),
                    "msg_flags": Symbol("MSG_NOSIGNAL"),
                }
            ),
            0,
        ),
    ),
    (b"{B38400 opost isig ...}", (Struct({"0": Symbol("B38400"), "1": Symbol("opost"), "2": Symbol("isig")}),)),
    (
        b"[{nla_len=10, nla_type=IFLA_ADDRESS}, 00:00:5e:00:53:01]",
        ((Struct({"nla_len": 10, "nla_type": Symbol("IFLA_ADDRESS")}), Symbol("00:00:5e:00:53:01")),),
    ),
    (b"_IOC(_IOC_READ|_IOC_WRITE, 0xbe, 0xef, 0x1)", (Symbol("_IOC(_IOC_READ|_IOC_WRITE, 0xbe, 0xef, 0x1)"),)),
    (b"FUTEX_OP_ADD<<28|1<<12|0x3", (Symbol("FUTEX_OP_ADD<<28|1<<12|0x3"),)),
    (
        b"{len=1, filter=[BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ALLOW)]}",
        (Struct({"len": 1, "filter": (Symbol("BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ALLOW)"),)}),),
    ),
    (b"{u32=5, u64=140454020513797}", (Struct({"u32": 5, "u64": 140454020513797}),)),
]


@pytest.mark.parametrize(("text", "values"), SHAPES, ids=[text.decode()[:40] or "nothing" for text, _ in SHAPES])
def test_a_real_shape_has_its_values(text: bytes, values: tuple[Value, ...]) -> None:
    assert arguments(text) == values


def test_the_arguments_of_a_call_that_never_returned_may_stop_anywhere_between_them() -> None:
    assert arguments(b"3<\\x2f>, ", partial=True) == (Descriptor(3, b"/"),)
    assert arguments(b"", partial=True) == ()


REFUSED = [
    b'"plain text with a backslash \\n"',
    b'"unterminated',
    b'"\\x4"',
    b'"' + b"\\x41" * 3 + b'"x',
    b"3<plain>",
    b"3<\\x2f",
    b"[1, 2",
    b"{a=1",
    b"1]",
    b"1)",
    b"(1",
    b"1,2",
    b", 1",
    b"[" * 5000,
    b"{a=" * 5000 + b"}" * 5000,
    b"/* never closed",
    b"@",
    b"\x00",
    b"9" * 5000 + b"x)",
]


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_does_not_match_as_a_whole_is_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        arguments(text)


names = st.from_regex(rb"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
leaves = st.one_of(
    st.binary(max_size=20).map(lambda raw: (quoted(raw), raw)),
    st.integers(-(2**31), 2**64).map(lambda number: (b"%d" % number, number)),
    st.integers(0, 2**64).map(lambda number: (b"%#x" % number, number)),
    st.binary(max_size=20).map(lambda raw: (b"7<" + hexadecimal(raw) + b">", Descriptor(7, raw))),
    st.just((b"NULL", None)),
    st.lists(names.filter(lambda name: name not in {b"NULL", b"AT_FDCWD"}), min_size=1, max_size=3).map(
        lambda words: (b"|".join(words), Symbol(b"|".join(words).decode()))
    ),
)


def _array(items: list[tuple[bytes, Value]]) -> tuple[bytes, Value]:
    return b"[" + b", ".join(text for text, _ in items) + b"]", tuple(value for _, value in items)


def _struct(items: dict[bytes, tuple[bytes, Value]]) -> tuple[bytes, Value]:
    text = b"{" + b", ".join(name + b"=" + text for name, (text, _) in items.items()) + b"}"
    return text, Struct({name.decode(): value for name, (_, value) in items.items()})


printed = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(_array), st.dictionaries(names, inner, min_size=1, max_size=4).map(_struct)
    ),
    max_leaves=12,
)
"""A value as strace prints it, and what it means."""


@given(st.lists(printed, max_size=5))
def test_reading_is_the_inverse_of_printing(items: list[tuple[bytes, Value]]) -> None:
    assert arguments(b", ".join(text for text, _ in items)) == tuple(value for _, value in items)


@given(st.binary(max_size=60) | st.text(alphabet='\\x41"<>[]{}(), =|/*.@~AT_FDCWD0', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(arguments(text), tuple)


def strings_in(value: object) -> list[bytes]:
    """Return all byte strings in a value, however deep, descriptors included."""
    match value:
        case bytes():
            return [value]
        case Descriptor(target=bytes() as target):
            return [target]
        case Struct(fields=fields):
            return [text for item in fields.values() for text in strings_in(item)]
        case tuple():
            return [text for item in value for text in strings_in(item)]
    return []


@given(st.lists(printed, max_size=4), st.data())
def test_damage_never_invents_a_string(items: list[tuple[bytes, Value]], data: st.DataObject) -> None:
    text = b", ".join(text for text, _ in items)
    known = {bytes(text) for _, value in items for text in strings_in(value)}
    position = data.draw(st.integers(0, len(text)))
    damaged = (
        text[:position] + data.draw(st.sampled_from([b"", b'"', b"<", b">", b",", b" ", b"..."])) + text[position:]
    )
    try:
        values = arguments(damaged)
    except Unreadable:
        return
    # Inserting one character can cut an argument off, but never make a new string out of pieces of others.
    assert all(text in known or b"\0" + text in known or text == b"" for text in strings_in(values))
