"""Sockets and addresses of real programs over loopback, and what of them a fact may keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.behaviour import Access, FileKind, SocketAddress, SocketOpened
from profiler.normalise.addresses import Address, address
from profiler.recorders.base import Struct, Symbol
from tests.profiler.normalise.conftest import Record

START = "import os, socket, sys\n"


def test_duplicates_and_children_keep_the_kind(record: Record) -> None:
    """Hard case 66: dup, dup2, fcntl and fork; 87: accept without an address."""
    recording = record(
        START + "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
        "os.dup2(s.fileno(), 77); port = s.getsockname()[1]\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    c = socket.create_connection(('127.0.0.1', port)); c.sendall(b'x'); os._exit(0)\n"
        "t = socket.socket(fileno=os.dup(77)); c, _ = t.accept(); c.recv(1); os.wait()\n",
    )
    assert recording.status == 0 and recording.losses == {}
    met = {use for use in recording.behaviours(SocketAddress) if isinstance(use, SocketAddress)}
    assert SocketAddress("bind", "AF_INET", "SOCK_STREAM", "127.0.0.1", 0) in met
    assert SocketAddress("accept", "AF_INET", "SOCK_STREAM", "127.0.0.1", 0) in met
    (connected,) = (use for use in met if use.operation == "connect")
    assert (connected.type, connected.address, connected.port > 0) == ("SOCK_STREAM", "127.0.0.1", True)


def test_datagrams_by_every_call(record: Record) -> None:
    """Hard case 88. Answers of a server go to anybody, so their ports are not kept."""
    recording = record(
        START + "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::1', 0))\n"
        "there = s.getsockname()\n"
        "c = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
        "c.sendto(b'x', there); _, back = s.recvfrom(9); s.sendto(b'y', back); c.recvmsg(9)\n"
        "c.sendmsg([b'z'], [], 0, there); s.recvmsg(9)\n",
    )
    assert recording.status == 0 and recording.losses == {}
    met = {use for use in recording.behaviours(SocketAddress) if isinstance(use, SocketAddress)}
    assert SocketAddress("receive", "AF_INET6", "SOCK_DGRAM", "::1") in met
    sent = {(use.address, use.port > 0) for use in met if use.operation == "send"}
    assert sent == {("::1", True)}
    assert recording.capabilities == set()


def test_unix_sockets(record: Record, tmp_path: Path) -> None:
    """A relative name, one in the abstract name space with odd bytes, one that nobody listens on."""
    recording = record(
        START + "os.chdir(sys.argv[1])\n"
        "s = socket.socket(socket.AF_UNIX); s.bind('sock'); s.listen(); c = socket.socket(socket.AF_UNIX)\n"
        "c.connect('sock'); a = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); a.bind(b'\\0odd\\xff\\n')\n"
        "a.sendto(b'x', b'\\0odd\\xff\\n'); d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "try: d.sendto(b'x', 'missing')\n"
        "except OSError: pass\n"
        "p = socket.socketpair()\n",
        str(tmp_path),
    )
    assert recording.status == 0 and recording.losses == {}
    bound = recording.use(tmp_path / "sock", Access.BIND)
    assert bound.kind is FileKind.SOCKET and not bound.created_by_service
    assert recording.use(tmp_path / "sock", Access.CONNECT).created_by_service
    assert recording.uses(tmp_path / "missing") == {(Access.CONNECT, "ENOENT")}
    odd = SocketAddress("bind", "AF_UNIX", "SOCK_DGRAM", "@odd\udcff\n")
    assert odd in recording.behaviours(SocketAddress)
    assert SocketAddress("send", "AF_UNIX", "SOCK_DGRAM", "@odd\udcff\n") in recording.behaviours(SocketAddress)


def test_families_types_and_protocols(record: Record) -> None:
    """Hard cases 13, 94 and 95."""
    recording = record(
        START + "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)\n"
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.IPPROTO_UDP)\n"
        "try: socket.socket(9, socket.SOCK_DGRAM)\n"  # AF_X25
        "except OSError: pass\n",
    )
    assert recording.status == 0
    opened = {use for use in recording.behaviours(SocketOpened)}
    assert SocketOpened("AF_NETLINK", "SOCK_RAW", 15) in opened
    assert SocketOpened("AF_INET6", "SOCK_DGRAM", 17) in opened
    failed = {
        (fact.behaviour.family, fact.outcome)
        for fact in recording.facts
        if isinstance(fact.behaviour, SocketOpened) and not fact.succeeded
    }
    assert ("AF_X25", "EAFNOSUPPORT") in failed


@pytest.mark.parametrize(
    ("family", "host", "kept"),
    [
        ("AF_INET", "127.8.9.1", "127.8.9.1"),
        ("AF_INET", "203.0.113.9", "0.0.0.0"),
        ("AF_INET6", "::1", "::1"),
        ("AF_INET6", "::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("AF_INET6", "::ffff:203.0.113.9", "::"),
        ("AF_INET6", "fe80::1%eth0", "::"),
        ("AF_INET", "", "0.0.0.0"),
    ],
)
def test_peers_are_local_or_anybody(family: str, host: str, kept: str) -> None:
    """Hard case 89: the peers of a public server are not listed."""
    assert Address(family, host, 40000).generalised() == Address(family, kept, 0)


def test_addresses_as_recorders_deliver_them() -> None:
    plain = Struct({"sa_family": Symbol("AF_INET"), "sin_port": 80, "sin_addr": b"10.0.0.1"})
    assert address(plain) == Address("AF_INET", "10.0.0.1", 80)
    hexadecimal = Symbol('inet_addr("\\x31\\x30\\x2e\\x30\\x2e\\x30\\x2e\\x31")')
    assert address(Struct({**plain.fields, "sin_addr": hexadecimal})) == Address("AF_INET", "10.0.0.1", 80)
    six = Symbol('inet_pton(AF_INET6, "\\x3a\\x3a\\x31", &sin6_addr)')
    assert address(Struct({"sa_family": Symbol("AF_INET6"), "sin6_port": 1, "0": six})) == Address("AF_INET6", "::1", 1)
    assert address(None) is None
    assert address(Struct({"sa_family": Symbol("AF_UNIX")})) == Address("AF_UNIX")
