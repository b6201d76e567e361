#!/bin/bash
# Installs Debian's Chromium, in which the report's page is opened by tests, benchmarks and tools/make_screenshots.py.
# Does nothing, quickly, when it is there. About 330 MB; a font comes along, because a minimal machine has none.
set -euo pipefail

command -v chromium >/dev/null && exit 0
if ((EUID != 0)); then
    printf 'error: cannot install chromium: not root\nhint:  run: sudo apt-get install chromium fonts-dejavu-core\n' >&2
    exit 1
fi
quiet_apt() {
    DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}
quiet_apt update
quiet_apt install --no-install-recommends --no-remove chromium fonts-dejavu-core
