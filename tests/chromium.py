"""Debian's Chromium without a window, over the DevTools protocol on a pair of pipes: no port, no other library.

Protocol: https://chromedevtools.github.io/devtools-protocol/ (messages end with a NUL byte on descriptors 3 and 4).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.requirements import require

FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-pipe
"""
PATIENCE = 60.0
"""Seconds for one answer; opening a page on a busy machine takes some."""


@dataclass
class Opened:
    """What came of opening a page: seconds from the request to the load event, and to the first contents on screen;
    what was asked for besides it; what was complained about."""

    seconds: float
    painted: float
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


class Chromium:
    """A browser with one page in it."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._rest = b""
        self._number = 0
        self._session = ""
        self._events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and return its result; AssertionError if the browser refuses or is silent."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._events.append(answer)

    def open(self, page: Path) -> Opened:
        """Open a file and wait until it has been loaded."""
        self._events.clear()
        began = time.monotonic()
        self.ask("Page.navigate", url=page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            self._events.append(self._receive())
        seconds = time.monotonic() - began
        painted = self.evaluate(
            "new Promise(done => new PerformanceObserver(list => done(list.getEntries()[0].startTime))"
            ".observe({type: 'paint', buffered: true}))"
        )
        opened = Opened(seconds, float(painted) / 1000)
        for event in self._events:
            _note(opened, event, page)
        return opened

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript in the page."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Give the page another size, in CSS pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def prefer(self, scheme: str) -> None:
        """Say that the user prefers ``light`` or ``dark``."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, *, whole: bool = False) -> bytes:
        """Return what is seen as a PNG, or the whole page however long it is."""
        return base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def paper(self) -> bytes:
        """Return the page as it is printed, as PDF on A4."""
        answer = self.ask("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(answer["data"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._reading], [], [], PATIENCE)[0], "chromium does not answer"
            data = os.read(self._reading, 1 << 20)
            assert data, "chromium has ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


def _note(opened: Opened, event: dict[str, Any], page: Path) -> None:
    parameters = event.get("params", {})
    match event.get("method"):
        case "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            if address != page.resolve().as_uri() and not address.startswith("data:"):
                opened.requests.append(address)
        case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
            opened.complaints.append(json.dumps(parameters))
        case "Log.entryAdded":
            opened.complaints.append(f"{parameters['entry']['level']}: {parameters['entry']['text']}")


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Yield a browser with an empty profile; the running test is skipped (or fails) where there is none."""
    require(shutil.which("chromium") is not None, "chromium is not installed: run tools/setup_chromium.sh")
    to_read, from_us = os.pipe()
    from_it, to_write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="unit-tailor-chromium-", ignore_cleanup_errors=True) as profile:
        # The shell puts the pipes where the protocol wants them.
        script = f'exec chromium "$@" 3<&{to_read} 4>&{to_write} 2>/dev/null'
        process = subprocess.Popen(
            ["sh", "-c", script, "sh", *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        try:
            yield Chromium(from_it, from_us)
        finally:
            os.close(from_us)  # it ends when nobody can ask it anything any more
            os.close(from_it)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait(10)
