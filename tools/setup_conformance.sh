#!/bin/bash
# Installs what `make conformance` needs besides the rest: debootstrap, and the keys of Debian's archive.
set -euo pipefail

packages=(debootstrap debian-archive-keyring)
missing=()
for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true) == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0
if ((EUID != 0)); then
    printf 'error: cannot install the packages %s: not root\nhint:  run: sudo apt-get install %s\n' \
        "${missing[*]}" "${missing[*]}" >&2
    exit 1
fi
printf 'setup: installing from Debian: %s\n' "${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
install=(apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install --no-install-recommends --no-remove)
"${install[@]}" "${missing[@]}" </dev/null >&2 || {
    apt-get -q -o DPkg::Lock::Timeout=300 update </dev/null >&2
    "${install[@]}" "${missing[@]}" </dev/null >&2
}
