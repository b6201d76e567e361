"""A throwaway clone of this machine with a real systemd in it."""
