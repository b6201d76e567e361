"""The service under study, through systemctl, journalctl and systemd-analyze."""
