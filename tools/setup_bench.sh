#!/bin/bash
# What `make bench` needs besides the rest: a compiler for the loops, bpftrace to compare with.
exec "$(dirname "$(readlink -f "$0")")/install_packages.sh" gcc libc6-dev bpftrace
