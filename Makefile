# unit-tailor: every target sets the machine up first; that takes under a second when nothing is missing.

PYTHON := .venv/bin/python
TESTS ?= tests
BENCHMARKS ?=
INPUTS ?=
VERSIONS ?=
DAEMONS ?=
SERVICES ?=

# Somebody's own modules must not be found before ours.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP

.PHONY: help setup demo test test-long lint conformance bench fuzz bpf report oracle faults kill-test deb screenshots clean

help:
	@echo 'make setup    install what is missing (Debian packages, .venv); quick when nothing is'
	@echo 'make demo     record, tighten and prove a real service, in a clone of this machine'
	@echo 'make test     run every test (TESTS=tests/policy for a part)'
	@echo 'make test-long  run the tests that take minutes: recorders compared on real daemons'
	@echo 'make lint     run the linters only'
	@echo 'make fuzz     give 100,000 damaged inputs to all readers, write build/fuzz.json (INPUTS=n for n)'
	@echo 'make conformance  compare the model with systemd 252, 257 and 262, write docs/conformance.md (VERSIONS=257 for one); long'
	@echo 'make bench    measure, print a table, write build/bench.json (BENCHMARKS=name for one)'
	@echo 'make bpf      compile the eBPF programs anew after a change of their source (needs clang, llvm, libbpf-dev)'
	@echo 'make report   measure real daemons, write docs/results.md and build/report.json (DAEMONS=name for one)'
	@echo 'make oracle   find out what the small services need at least (SERVICES=name for one); takes many minutes'
	@echo 'make faults   seed faults into drop-ins of real daemons, write docs/faults.md and build/faults.json (DAEMONS=name for one); long'
	@echo 'make kill-test  kill unit-tailor before every change that it makes to a service (long)'
	@echo 'make deb      build dist/unit-tailor_VERSION_all.deb'
	@echo 'make screenshots  make the pictures in docs/images anew: real output, and the report in Chromium'
	@echo 'make clean    remove what was built; the environment stays (rm -r .venv removes that too)'

setup:
	@tools/setup.sh

demo: setup
	@tools/demo.sh

test: setup
	timeout --foreground --signal=INT --kill-after=60s 45m \
		$(PYTHON) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --durations=10 -m "not long" $(TESTS)

test-long: setup
	@tools/setup_chromium.sh
	$(PYTHON) -m pytest --durations=10 -m long $(TESTS)

lint: setup
	$(PYTHON) -m pytest -q tests/linters

fuzz: setup
	$(PYTHON) -m tests.fuzz.run $(INPUTS)

conformance: setup
	@tools/setup_conformance.sh
	$(PYTHON) -m tests.conformance.run $(VERSIONS:%=--version %)

bench: setup
	@tools/setup_chromium.sh
	@tools/setup_bench.sh
	$(PYTHON) -m tests.benchmarks.run $(BENCHMARKS)

bpf: setup
	tools/build_bpf.sh

oracle: setup
	$(PYTHON) -m tests.services.oracle $(SERVICES)

report: setup
	$(PYTHON) -m tests.report.run $(DAEMONS)

faults: setup
	$(PYTHON) -m tests.faults.run $(DAEMONS)

kill-test: setup
	UNIT_TAILOR_EVERY_POINT=1 $(PYTHON) -m pytest tests/profiler/validate/test_killed_anywhere.py \
		tests/profiler/validate/test_for_template.py; status=$$?; \
	$(PYTHON) -m tests.profiler.validate.kill_table build/kill-test.json; exit $$status

deb: setup
	@tools/build_deb.sh

screenshots: setup
	@tools/setup_chromium.sh
	$(PYTHON) -m tests.screenshots.run

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find profiler policy tests fixtures -name __pycache__ -type d -prune -exec rm -rf {} +
