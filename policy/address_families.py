"""The address families of the kernel as RestrictAddressFamilies= names them (address_families(7))."""

_NAMES = """
AF_UNIX AF_INET AF_AX25 AF_IPX AF_APPLETALK AF_NETROM AF_BRIDGE AF_ATMPVC AF_X25 AF_INET6 AF_ROSE AF_DECnet AF_NETBEUI
AF_SECURITY AF_KEY AF_NETLINK AF_PACKET AF_ASH AF_ECONET AF_ATMSVC AF_RDS AF_SNA AF_IRDA AF_PPPOX AF_WANPIPE AF_LLC
AF_IB AF_MPLS AF_CAN AF_TIPC AF_BLUETOOTH AF_IUCV AF_RXRPC AF_ISDN AF_PHONET AF_IEEE802154 AF_CAIF AF_ALG AF_NFC
AF_VSOCK AF_KCM AF_QIPCRTR AF_SMC AF_XDP AF_MCTP
"""

ADDRESS_FAMILIES = tuple(_NAMES.split())
"""The names that systemd takes from the kernel's ``include/linux/socket.h`` when it is built (``af-list.c``)."""

_SYNONYMS = {"af_local": "AF_UNIX", "af_file": "AF_UNIX", "af_route": "AF_NETLINK"}
_BY_WORD = {name.lower(): name for name in ADDRESS_FAMILIES} | _SYNONYMS

KNOWN_SINCE = {"AF_MCTP": 252}
"""Families whose names older builds may lack: AF_MCTP came with Linux 5.15."""


def family_name(word: str, version: int) -> str:
    """Return the family that a systemd of this version reads in a word (in any case), empty for a word that it
    does not know."""
    name = _BY_WORD.get(word.lower(), "")
    return name if KNOWN_SINCE.get(name, 0) <= version else ""
