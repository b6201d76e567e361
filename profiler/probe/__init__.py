"""Probing: recorded behaviour is done again, by a stand-in for the service in the real sandbox of a drop-in."""
