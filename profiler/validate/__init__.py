"""The only room that changes a running service, so the only one with rollback."""
