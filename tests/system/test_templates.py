"""A drop-in for a template, made from one instance: another instance works under it, and within its own directory."""

from __future__ import annotations

from profiler.generation import generate
from profiler.host import read_host_facts
from profiler.record import record_unit
from profiler.twin import Twin
from profiler.unit.unit import OUR_DROP_IN, Unit

TEMPLATE = "tailor-web@.service"
STATE = "/var/lib/tailor-web"
LINES = f"""\
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'echo x > {STATE}/%i/data; mv {STATE}/%i/data {STATE}/%i/kept; \
test %i = first || ! touch {STATE}/first/foreign'
"""


def test_what_one_instance_did_serves_another(fresh_twin: Twin) -> None:
    machine = fresh_twin
    machine.path(f"/run/systemd/system/{TEMPLATE}").write_text(f"[Service]\n{LINES}", encoding="utf-8")
    for instance in ("first", "second", "third-x"):
        machine.path(f"{STATE}/{instance}").mkdir(parents=True)
    machine.run(["systemctl", "daemon-reload"])
    recorded = record_unit(Unit.load(machine, "tailor-web@first.service")).profile
    made = generate(recorded, read_host_facts(machine), template=True)
    place = machine.path(f"/run/systemd/system/{TEMPLATE}.d/{OUR_DROP_IN}")
    place.parent.mkdir()
    place.write_text(made.text, encoding="utf-8")
    machine.run(["systemctl", "daemon-reload"])

    for instance in ("first", "second", "third-x"):
        machine.run(["systemctl", "restart", f"tailor-web@{instance}.service"])
        assert machine.path(f"{STATE}/{instance}/kept").exists()
    assert not machine.path(f"{STATE}/first/foreign").exists()
    shown = machine.run(["systemctl", "show", "-pReadWritePaths", "tailor-web@second.service"]).stdout
    assert f"-{STATE}/second" in shown
    assert made.text.count("%i") >= 1
