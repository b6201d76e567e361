#!/bin/bash
# What `make conformance` needs besides the rest: debootstrap, and the keys of Debian's archive.
exec "$(dirname "$(readlink -f "$0")")/install_packages.sh" debootstrap debian-archive-keyring
