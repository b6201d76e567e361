#!/bin/bash
# Debian's Chromium, in which the report's page is opened by tests, benchmarks and tools/make_screenshots.py. About
# 330 MB; a font comes along, because a minimal machine has none.
exec "$(dirname "$(readlink -f "$0")")/install_packages.sh" chromium fonts-dejavu-core
