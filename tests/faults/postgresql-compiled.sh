#!/bin/sh
# PostgreSQL compiles its queries to machine code.
set -eu
. "$(dirname "$0")/../../fixtures/daemons/common.sh"

cd /
until_ok runuser -u postgres -- psql -qAtX -c 'select 1'
PGOPTIONS='-c jit=on -c jit_above_cost=0 -c jit_optimize_above_cost=0 -c jit_inline_above_cost=0'
export PGOPTIONS
is 5000050000 runuser -u postgres -- psql -qAtX -c 'select sum(n) from generate_series(1, 100000) n'
runuser -u postgres -- psql -qAtX -c 'explain analyze select sum(n) from generate_series(1, 100000) n' | grep -q JIT ||
    fail "nothing was compiled"
