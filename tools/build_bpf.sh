#!/bin/sh
# Compiles the kernel's side of the eBPF recorder into the object that the package ships (clang, llvm, libbpf-dev).
set -eu
cd "$(dirname "$(readlink -f "$0")")/../profiler/recorders/ebpf"
machine=$(uname -m)
[ "$machine" = x86_64 ] || { echo "error: the eBPF recorder is written for x86_64, not $machine" >&2; exit 1; }
output=${1:-recorder.x86_64.bpf.o.xz}
object=$(mktemp)
trap 'rm -f "$object"' EXIT
digest=$(cat recorder.bpf.c by_clang.h kernel_types.h protocol.h | sha256sum | cut -d " " -f 1)
clang -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -Wall -Werror -Wno-unused-function -Wno-missing-declarations \
    -Wno-unknown-attributes -fdebug-compilation-dir=. -I"/usr/include/$machine-linux-gnu" -DSOURCE_DIGEST="\"$digest\"" -c recorder.bpf.c -o "$object"
llvm-strip -g "$object"
xz --stdout --format=xz -6 "$object" > "$output"
