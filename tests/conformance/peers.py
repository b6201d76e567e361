"""A process for probes to meet: it listens on sockets, shares a segment of memory, and stays until it is stopped.

Arguments: a port, the name of an abstract socket or ``-``, the key of a segment or 0, and paths of Unix sockets.
"""

import ctypes
import os
import selectors
import socket
import sys
from collections.abc import Iterator

LIBC = ctypes.CDLL(None, use_errno=True)


def listening(paths: list[str], abstract: str, port: int) -> Iterator[socket.socket]:
    """Yield the sockets."""
    for path in paths:
        if os.path.lexists(path):
            os.unlink(path)
        end = socket.socket(socket.AF_UNIX)
        end.bind(path)
        os.chmod(path, 0o666)
        yield end
    if abstract != "-":
        end = socket.socket(socket.AF_UNIX)
        end.bind("\0" + abstract[1:])
        yield end
    for address in ("127.0.0.1", "::1", "192.0.2.10") if port else ():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            end = socket.socket(family, kind)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            end.bind((address, port))
            yield end


def main() -> None:
    """Listen, and hang up on whoever comes."""
    port, abstract, key, *paths = sys.argv[1:]
    if int(key) and LIBC.shmget(int(key), ctypes.c_size_t(4096), 0o1666) == -1:
        raise OSError(ctypes.get_errno(), "shmget")
    selector = selectors.DefaultSelector()
    for end in listening(paths, abstract, int(port)):
        end.setblocking(False)
        if end.type == socket.SOCK_STREAM:
            end.listen(100)
        selector.register(end, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for event, _ in selector.select():
            visited = event.fileobj
            assert isinstance(visited, socket.socket)
            try:
                if visited.type == socket.SOCK_STREAM:
                    visited.accept()[0].close()
                else:
                    visited.recv(4096)
            except OSError:
                continue


if __name__ == "__main__":
    main()
