"""Damaged and hostile input for everything that reads what a traced service can influence."""
