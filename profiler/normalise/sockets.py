"""The sockets of the service by their inode, which duplicates, children and receivers of a descriptor share."""

from __future__ import annotations

from dataclasses import dataclass, replace

_REMEMBERED = 65_536  # sockets; the oldest are forgotten first


@dataclass(frozen=True)
class Socket:
    """A socket: ``family`` and ``type`` by name, empty if never seen; ``bound`` to a name or ``device`` on purpose."""

    family: str = ""
    type: str = ""
    protocol: int = 0
    bound: bool = False
    device: bool = False


class SocketTable:
    """Sockets by what their descriptors refer to (``socket:[12]``)."""

    def __init__(self) -> None:
        self._sockets: dict[bytes, Socket] = {}

    def get(self, name: bytes | None) -> Socket:
        """Return the socket, an empty one if it was never seen."""
        return self._sockets.get(name, Socket()) if name is not None else Socket()

    def put(self, name: bytes | None, socket: Socket) -> None:
        """Remember a socket."""
        if name is None:
            return
        self._sockets.pop(name, None)
        self._sockets[name] = socket
        if len(self._sockets) > _REMEMBERED:
            del self._sockets[next(iter(self._sockets))]

    def learn(
        self, name: bytes | None, *, family: str = "", type: str = "", bound: bool = False, device: bool = False
    ) -> Socket:
        """Add what a call told about a socket, and return all that is known."""
        known = self.get(name)
        learned = replace(
            known,
            family=known.family or family,
            type=known.type or type,
            bound=known.bound or bound,
            device=known.device or device,
        )
        if learned != known:
            self.put(name, learned)
        return learned
