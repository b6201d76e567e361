"""Turns raw calls into facts: owns all per-process state, so that everything after it is free of order."""
