"""All knowledge of systemd's directives: one small class each, in files named after the sections of systemd.exec(5)."""
