"""A throwaway clone of this machine with a real systemd in it.

::

    from profiler import twin

    with twin.up(packages=("nginx",)) as machine:
        machine.run(["systemctl", "start", "nginx"])
"""

from profiler.twin.layers import missing
from profiler.twin.twin import Swept, Twin, find, present, require_possible, require_root, running, sweep, up

__all__ = ["Swept", "Twin", "find", "missing", "present", "require_possible", "require_root", "running", "sweep", "up"]
