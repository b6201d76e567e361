"""The tests: the same tree as the two packages, plus laws, linters, packaging, benchmarks and system tests."""
