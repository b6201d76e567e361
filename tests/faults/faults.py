"""The seeded faults, and the uses of real daemons that they disturb."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.faults.fault import Fault
from tests.system.daemons import ALL_DAEMONS, Daemon

FOLDER = Path(__file__).resolve().parent
REAL = {daemon.name: daemon for daemon in ALL_DAEMONS}


def _used_otherwise(daemon: str, name: str, script: str) -> Daemon:
    return replace(REAL[daemon], name=f"{daemon}, {name}", workload=f"sh '{FOLDER / script}'")


USES = (
    *(REAL[name] for name in ("nginx", "redis-server", "memcached", "dnsmasq", "haproxy", "mosquitto", "postgresql")),
    REAL["apache2-php"],
    _used_otherwise("nginx", "pages in /home, socket in /tmp", "nginx-home-and-tmp.sh"),
    _used_otherwise("postgresql", "queries compiled", "postgresql-compiled.sh"),
    _used_otherwise("apache2-php", "a script in a user namespace", "apache-user-namespace.sh"),
)
"""Every daemon, and how it is used."""

FAULTS = (
    Fault("nginx", "path", "ReadWritePaths", without="/var/log/nginx", blamed="ProtectSystem"),
    Fault("nginx", "path, first start", "ReadWritePaths", without="/var/lib/nginx", blamed="ProtectSystem", fresh=True),
    Fault("nginx", "capability", "CapabilityBoundingSet", without="CAP_NET_BIND_SERVICE"),
    Fault("nginx", "capability", "CapabilityBoundingSet", without="CAP_SETUID"),
    Fault("nginx", "address family", "RestrictAddressFamilies", without="AF_INET6"),
    Fault("nginx", "group of calls", "SystemCallFilter", "~@network-io", adds=True),
    Fault("nginx", "group of calls", "SystemCallFilter", "~@io-event", adds=True),
    Fault("nginx", "single call", "SystemCallFilter", without="setuid"),
    Fault("nginx", "user namespace", "PrivateUsers", "yes"),
    Fault("nginx", "device", "DevicePolicy", "strict"),
    Fault("nginx", "hidden file", "InaccessiblePaths", "/srv /etc/nginx/mime.types /mnt"),
    Fault("nginx", "limit of files", "LimitNOFILE", "6"),
    Fault("nginx, pages in /home, socket in /tmp", "home", "ProtectHome", "yes"),
    Fault("nginx, pages in /home, socket in /tmp", "tmp", "PrivateTmp", "yes"),
    Fault("redis-server", "path", "ReadOnlyPaths", "/var/lib/redis"),
    Fault("redis-server", "address family", "RestrictAddressFamilies", "~AF_NETLINK AF_INET AF_PACKET"),
    Fault("redis-server", "working directory (200)", "WorkingDirectory", "/srv/nothing-here"),
    Fault("redis-server", "call that kills", "SystemCallFilter", "~fsync:kill fdatasync:kill", adds=True),
    Fault("redis-server", "IP deny", "IPAddressAllow", without="localhost", blamed="IPAddressDeny"),
    Fault("memcached", "network namespace", "PrivateNetwork", "yes"),
    Fault("memcached", "capability", "CapabilityBoundingSet", without="CAP_SETGID"),
    Fault("memcached", "group (216)", "Group", "nothing-here"),
    Fault("dnsmasq", "path", "ReadWritePaths", without="/run/dnsmasq", blamed="ReadOnlyPaths"),
    Fault("dnsmasq", "address family", "RestrictAddressFamilies", without="AF_NETLINK"),
    Fault("dnsmasq", "missing path (226)", "ReadWritePaths", "/srv/nothing-here", adds=True),
    Fault("dnsmasq", "capability", "CapabilityBoundingSet", without="CAP_NET_BIND_SERVICE"),
    Fault("haproxy", "capability", "CapabilityBoundingSet", without="CAP_SYS_CHROOT"),
    Fault("haproxy", "socket in /run", "RestrictAddressFamilies", without="AF_UNIX"),
    Fault("haproxy", "single call", "SystemCallFilter", without="chroot"),
    Fault("haproxy", "user", "User", "nobody"),
    Fault("mosquitto", "path", "ReadWritePaths", without="/var/log/mosquitto", blamed="ProtectSystem"),
    Fault("mosquitto", "execution", "NoExecPaths", "/opt /usr/lib"),
    Fault("mosquitto", "proc", "ProcSubset", "pid"),
    Fault("mosquitto", "root directory (203)", "RootDirectory", "/srv"),
    Fault("postgresql", "path", "ReadWritePaths", without="/var/lib/postgresql", blamed="ProtectSystem"),
    Fault("postgresql", "execution", "NoExecPaths", "/usr/lib/postgresql"),
    Fault("postgresql", "group of calls", "SystemCallFilter", "~@ipc", adds=True),
    Fault("postgresql", "limit of sizes", "LimitFSIZE", "100K"),
    Fault("postgresql, queries compiled", "W^X", "MemoryDenyWriteExecute", "yes"),
    Fault("apache2-php", "empty directory", "TemporaryFileSystem", "/var/www"),
    Fault("apache2-php", "path", "ReadWritePaths", without="/var/lib/php/sessions", blamed="ProtectSystem"),
    Fault("apache2-php", "capability", "CapabilityBoundingSet", without="CAP_NET_BIND_SERVICE"),
    Fault("apache2-php, a script in a user namespace", "namespace", "RestrictNamespaces", "yes"),
)
"""In the order of the table."""
