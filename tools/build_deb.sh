#!/bin/bash
# Builds dist/unit-tailor_VERSION_all.deb: an application in a directory of its own, /usr/lib/unit-tailor, with its
# dependencies from Debian, manual pages and completions. Needs dpkg-deb and the environment of make setup.
# The same checkout gives the same package, byte by byte: times are those of the last commit.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

output=${1:-dist}
python=.venv/bin/python
version=$("$python" -c 'from profiler.version import VERSION; print(VERSION)')
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
umask 022

library=$root/usr/lib/unit-tailor
install -d "$library" "$root/usr/bin" "$root/DEBIAN"
for package in profiler policy; do
    cp -r --no-preserve=mode,ownership "$package" "$library/"
done
find "$library" -name __pycache__ -type d -prune -exec rm -rf {} +

# -I: neither the current directory nor PYTHONPATH nor a user's own packages are looked at, as root least of all.
cat >"$library/unit-tailor" <<'PROGRAM'
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/usr/lib/unit-tailor")

from profiler.cli import main

sys.exit(main())
PROGRAM
chmod 755 "$library/unit-tailor"
ln -s ../lib/unit-tailor/unit-tailor "$root/usr/bin/unit-tailor"

install -d "$root/usr/share/man/man1"
for page in docs/man/*.1; do
    gzip -9n <"$page" >"$root/usr/share/man/man1/$(basename "$page").gz"
done

completion() {
    install -d "$root/$2"
    "$python" -c 'import sys; from profiler.shell_completion import script; sys.stdout.write(script(sys.argv[1]))' \
        "$1" >"$root/$2/$3"
}
completion bash usr/share/bash-completion/completions unit-tailor
completion zsh usr/share/zsh/vendor-completions _unit-tailor
completion fish usr/share/fish/vendor_completions.d unit-tailor.fish

document=$root/usr/share/doc/unit-tailor
install -d "$document"
gzip -9n <CHANGELOG.md >"$document/changelog.gz"
cp README.md docs/*.md "$document/"
{
    printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: unit-tailor\n\n'
    printf 'Files: *\nCopyright: the authors of unit-tailor\nLicense: MIT\n'
    tail -n +2 LICENSE | sed 's/^$/./; s/^/ /'
} >"$document/copyright"

cat >"$root/DEBIAN/control" <<CONTROL
Package: unit-tailor
Version: $version
Section: admin
Priority: optional
Architecture: all
Maintainer: the authors of unit-tailor <root@localhost>
Installed-Size: $(du -ks "$root/usr" | cut -f1)
Depends: python3 (>= 3.11), python3-click (>= 8.1), python3-psutil (>= 5.9), python3-jinja2 (>= 3.1),
 systemd (>= 245), strace, iproute2,
 procps, util-linux, mount
Recommends: libbpf1, systemd-container, dbus, less
Suggests: python3-ptrace
Description: cuts the tightest systemd drop-in that a service survives
 Records what a systemd service really does (with eBPF, strace or ptrace),
 generates the tightest drop-in that systemd can express, proves by replaying
 that nothing recorded would be blocked, and validates it by a test restart
 that is undone by itself.
CONTROL
cat >"$root/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = configure ] && command -v py3compile >/dev/null; then
    py3compile -p unit-tailor /usr/lib/unit-tailor
fi
SCRIPT
cat >"$root/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if command -v py3clean >/dev/null; then
    py3clean -p unit-tailor /usr/lib/unit-tailor
fi
find /usr/lib/unit-tailor -name __pycache__ -type d -prune -exec rm -rf {} +
SCRIPT
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
(cd "$root" && find usr -type f -printf '%P\0' | sort -z | sed -z 's|^|usr/|' | xargs -0 md5sum >DEBIAN/md5sums)

install -d "$output"
package=$output/unit-tailor_${version}_all.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
