"""Internet addresses as facts spell them and as IPAddressAllow= spells networks (systemd.resource-control(5))."""

from __future__ import annotations

import functools
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

NETWORKS_BY_WORD: dict[str, tuple[Network, ...]] = {
    "any": (ip_network("0.0.0.0/0"), ip_network("::/0")),
    "localhost": (ip_network("127.0.0.0/8"), ip_network("::1/128")),
    "link-local": (ip_network("169.254.0.0/16"), ip_network("fe80::/64")),
    "multicast": (ip_network("224.0.0.0/4"), ip_network("ff00::/8")),
}
"""The words of IPAddressAllow= (``config_parse_in_addr_prefixes`` in systemd's ``bpf-firewall.c`` and its like)."""


@functools.lru_cache(maxsize=4096)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, an IPv4 address for one that is mapped into IPv6; ``None`` for what is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_loopback(text: str) -> bool:
    """Whether an address is one of this machine's loopback; the wildcard is not."""
    address = parse_address(text)
    return address is not None and is_within(address, NETWORKS_BY_WORD["localhost"])


def is_within(address: IPv4Address | IPv6Address, networks: tuple[Network, ...]) -> bool:
    """Whether an address is in one of these networks."""
    return any(address.version == network.version and address in network for network in networks)


def parse_networks(word: str) -> tuple[Network, ...]:
    """Return the networks that a word of IPAddressAllow= stands for; none for a word that systemd ignores."""
    if word in NETWORKS_BY_WORD:
        return NETWORKS_BY_WORD[word]
    try:
        return (ip_network(word, strict=False),)
    except ValueError:
        return ()
