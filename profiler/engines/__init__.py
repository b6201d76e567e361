"""Engines: a recorder with what turns its output into facts, as one thing that can be chosen by name."""
