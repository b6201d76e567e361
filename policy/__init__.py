"""unit-tailor thinks: what a service did, what systemd's directives deny, and which drop-in follows.

Standard library only. Nothing in this package starts a process, reads a clock or touches the machine.
"""
