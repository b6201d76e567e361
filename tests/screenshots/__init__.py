"""The pictures in ``docs/images``, made from real output: ``make screenshots``."""
