#!/bin/bash
# Installs those of the Debian packages named as arguments that are not there: what single make targets need besides the
# rest. Does nothing, quickly, when nothing is missing.
set -euo pipefail

missing=()
for package in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true) == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0
if ((EUID != 0)); then
    printf 'error: cannot install the packages %s: not root\nhint:  run: sudo apt-get install %s\n' \
        "${missing[*]}" "${missing[*]}" >&2
    exit 1
fi
printf 'setup: installing from Debian: %s\n' "${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
install=(apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install --no-install-recommends --no-remove)
"${install[@]}" "${missing[@]}" </dev/null >&2 || {
    apt-get -q -o DPkg::Lock::Timeout=300 update </dev/null >&2
    "${install[@]}" "${missing[@]}" </dev/null >&2
}
