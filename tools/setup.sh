#!/bin/bash
# Installs what unit-tailor needs and does not find: Debian packages, and .venv with the tool and its test tools.
# Does nothing, quickly, when nothing is missing. Starts no service.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
unset PYTHONPATH PYTHONHOME
exec {lock}<. # the directory itself is the lock: two runs at once would spoil each other's .venv

# What each is for: strace records; systemd, systemd-container and dbus make the twin (iproute2 and procps its network
# and processes, mount and util-linux its layers); libbpf1 loads the eBPF programs; python3-bpfcc is bcc, which no Python
# index has under that name. zsh, fish, mandoc and e2fsprogs serve tests only: completion in real shells, well-formed
# manual pages, files that do not want to go.
packages=(
    strace systemd systemd-container dbus python3-venv libbpf1 python3-bpfcc
    iproute2 util-linux mount procps curl ca-certificates
    zsh fish mandoc e2fsprogs
)
python=/usr/bin/python3 # not the first in PATH: only Debian's own can see Debian's Python packages
stamp=.venv/unit-tailor-setup

say() { printf 'setup: %s\n' "$*" >&2; }

die() {
    printf 'error: %s\nhint:  %s\n' "$1" "$2" >&2
    exit 1
}

missing_packages() {
    # dpkg-query says nothing on standard output about a package that it never heard of.
    { dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true; } |
        awk -v all="${packages[*]}" '$2 == "installed" { have[$1] = 1 }
            END { count = split(all, name, " "); for (i = 1; i <= count; i++) if (!(name[i] in have)) print name[i] }'
}

quiet_apt() {
    # SYSTEMD_OFFLINE=1: "systemctl start" in a package's script does nothing (systemd's docs/ENVIRONMENT.md).
    SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8 \
        apt-get -q -y -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 "$@" </dev/null >&2
}

install_packages() {
    local missing
    command -v dpkg-query apt-get >/dev/null ||
        die "this machine has no dpkg-query and apt-get" "install the equivalents of these Debian packages: ${packages[*]}"
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    ((EUID == 0)) ||
        die "cannot install the packages ${missing[*]}: not root" "run: sudo apt-get install ${missing[*]}"
    say "installing from Debian: ${missing[*]}"
    quiet_apt update ||
        die "apt-get update failed" "look at the lines above; is there a network, and is /etc/apt/sources.list right?"
    quiet_apt install --no-install-recommends --no-remove "${missing[@]}" ||
        die "apt-get could not install ${missing[*]}" "look at the lines above; run: apt-get install ${missing[*]}"
}

# What the environment was made from: when this changes, it is brought up to date.
wanted_state() { { cat pyproject.toml tools/setup.sh && readlink -f "$python" && pwd; } | sha256sum; }

up_to_date() {
    [[ -f $stamp && -x .venv/bin/unit-tailor && $(<"$stamp") == "$(wanted_state)" ]]
}

environment_works() {
    grep -qs '^include-system-site-packages = true' .venv/pyvenv.cfg &&
        [[ $(head -n 1 .venv/bin/pip) == "#!$PWD/.venv/bin/python"* ]] && # else the checkout was moved
        .venv/bin/python -c 'import pip, sys; sys.exit(sys.base_prefix != "/usr")'
} 2>/dev/null

make_environment() {
    up_to_date && environment_works && return 0
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$python is older than 3.11" "unit-tailor needs Debian 12 or newer"
    if ! environment_works; then
        say "making .venv"
        "$python" -m venv --clear --system-site-packages .venv ||
            die "cannot make .venv with $python" "look at the lines above; run: apt-get install python3-venv"
    fi
    say "installing Python packages into .venv (about half a minute)"
    .venv/bin/python -m pip --disable-pip-version-check install --no-input --progress-bar off \
        --editable '.[development,ptrace]' >.venv/pip.log 2>&1 || {
        tail -n 20 .venv/pip.log >&2
        die "pip could not install what pyproject.toml names" "look at the lines above; is the package index reachable?"
    }
    wanted_state >"$stamp"
    say "done: .venv/bin/unit-tailor"
}

flock "$lock"
install_packages
make_environment
