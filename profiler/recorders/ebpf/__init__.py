"""The recorder that watches in the kernel: by cgroup, without a restart, at little cost, and with the kernel's own
capability checks."""
