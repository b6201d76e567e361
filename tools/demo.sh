#!/bin/sh
# The main job on a real service: nginx, in a twin of this machine, from nothing to a validated drop-in.
set -eu
cd "$(dirname "$0")/.."

.venv/bin/unit-tailor harden nginx.service --twin --package nginx --package curl --package logrotate \
    --workload "sh '$PWD/fixtures/daemons/nginx/workload.sh'" --output-directory build/demo --force --show
