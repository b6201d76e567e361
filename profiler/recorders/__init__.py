"""Recorders: each knows one tracing tool, nothing of policy, and none of the others."""
