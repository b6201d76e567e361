"""Linters: the ready-made ones and the house rules, as tests."""
