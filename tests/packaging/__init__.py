"""Packaging: the wheel, and the command as it is installed from it."""
