"""unit-tailor acts: recorders, units, twins, validation and the command line. It imports policy, never the reverse."""
