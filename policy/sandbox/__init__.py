"""The mechanisms as the kernel has them; directives contribute, the sandbox judges."""
