#!/bin/bash
# Installs what `make bench` needs besides the rest: a compiler for the loops, bpftrace to compare with.
set -euo pipefail

packages=(gcc libc6-dev bpftrace)
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
