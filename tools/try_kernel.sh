#!/bin/bash
# Runs a command of this checkout under another kernel: tools/try_kernel.sh LINUX-IMAGE.deb COMMAND...
#
# The kernel boots in QEMU (software emulation) on this machine's own files, read-only, with changes in memory: whatever is
# installed here is there, with .venv. Needs qemu-system-x86, busybox-static and cpio; takes about a minute, and more on a
# busy machine. Fetch a kernel by: apt-get download linux-image-6.1.0-56-amd64 (not a -cloud- one: it cannot share files).
# For example, as docs/ebpf.md shows: tools/try_kernel.sh linux-image-*.deb .venv/bin/python -m tests.tools.capability_trial
set -euo pipefail

(($# >= 2)) || { printf 'usage: tools/try_kernel.sh LINUX-IMAGE.deb COMMAND...\n' >&2; exit 2; }
for program in qemu-system-x86_64 busybox cpio; do
    command -v "$program" >/dev/null || {
        printf 'error: %s is not installed\nhint:  run: sudo apt-get install qemu-system-x86 busybox-static cpio\n' "$program" >&2
        exit 1
    }
done
package=$(readlink -f "$1")
shift
checkout=$(dirname "$(dirname "$(readlink -f "$0")")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dpkg-deb -x "$package" "$work/image"
modules=$(echo "$work"/image/lib/modules/*/kernel "$work"/image/usr/lib/modules/*/kernel | tr ' ' '\n' | grep -v '\*' | head -1)
initial=$work/initial
mkdir -p "$initial"/{bin,modules,proc,sys,dev,host,memory}
cp "$(command -v busybox)" "$initial/bin/busybox"
for name in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p overlay; do
    found=$(find "$modules" -name "$name.ko*" | head -1)
    case $found in
    *.xz) xz --decompress --stdout "$found" >"$initial/modules/$name.ko" ;;
    *.ko) cp "$found" "$initial/modules/" ;;
    esac
done
printf '%q ' "$@" >"$initial/command"
printf '%s' "$checkout" >"$initial/checkout"
cat >"$initial/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
for pass in 1 2 3; do # in no particular order: what needs another comes later
    for module in /modules/*.ko; do insmod "$module" 2>/dev/null; done
done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=1048576,cache=loose host /host
mount -t tmpfs none /memory; mkdir /memory/upper /memory/work /memory/root
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work none /memory/root
root=/memory/root
for place in proc sys dev; do mount --move /$place $root/$place; done
mount -t tmpfs none $root/tmp; mount -t tmpfs none $root/run
mount -t cgroup2 none $root/sys/fs/cgroup; mount -t securityfs none $root/sys/kernel/security
ip link set lo up
cp /command $root/run/command; checkout=$(cat /checkout)
chroot $root /usr/bin/env HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c "cd '$checkout' && . /run/command"
echo "the command ended with status $?"
poweroff -f
INIT
chmod +x "$initial/init"
(cd "$initial" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initial.gz"
qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 3000 -display none -nodefaults -serial stdio -no-reboot -net none \
    -kernel "$(ls "$work"/image/boot/vmlinuz-*)" -initrd "$work/initial.gz" \
    -append 'console=ttyS0 quiet panic=-1 mitigations=off' \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap </dev/null | tee "$work/output"
grep -q '^the command ended with status 0' "$work/output"
