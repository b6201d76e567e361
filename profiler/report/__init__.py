"""Rendering of reports that ``policy.report`` computed: one HTML page, lines of a terminal, JSON."""
