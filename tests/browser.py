"""A headless Chromium, driven over its debugging pipe: JSON messages that end with a zero byte."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60
CONSOLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


def chromium():
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one page."""

    def __init__(self):
        self.folder = tempfile.mkdtemp()
        theirs, self.out = os.pipe()
        self.back, their_back = os.pipe()

        def placed():  # the browser reads from 3 and writes to 4
            a, b = os.dup(theirs), os.dup(their_back)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--disable-background-networking",
             f"--user-data-dir={self.folder}", "--remote-debugging-pipe", "about:blank"],
            preexec_fn=placed, close_fds=False, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs)
        os.close(their_back)
        self.timer = None
        self._watch()
        self.number, self.events, self.session, self.read = 0, [], None, b""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{part}.enable")

    def _watch(self):
        """A browser that hangs ends a test, and not the whole run."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = threading.Timer(SECONDS, self.process.kill)
        self.timer.start()

    def _message(self):
        while b"\0" not in self.read:
            found = os.read(self.back, 2**20)
            assert found, "the browser has ended"
            self.read += found
        one, _, self.read = self.read.partition(b"\0")
        return json.loads(one)

    def call(self, method, **parameters):
        """The answer to a command; events before it are kept."""
        self.number += 1
        told = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            told["sessionId"] = self.session
        os.write(self.out, json.dumps(told).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def open(self, path, width=1200, height=900, dark=False, scripts=True):
        """Load a file or an address, and wait until it is loaded."""
        self._watch()
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, mobile=width < 600,
            deviceScaleFactor=1,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        url = path if "://" in str(path) else Path(path).resolve().as_uri()
        self.call("Page.navigate", url=url)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._message())

    def value(self, expression):
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression):
        """Wait until a JavaScript expression is true."""
        self._watch()
        while not self.value(expression):
            time.sleep(0.1)

    def choose(self, selector, files):
        """Choose files in an input of the page."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(f) for f in files], nodeId=node)

    def press(self, key, code=0):
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                **(text if kind == "keyDown" else {}),
            )  # fmt: skip

    def drag(self, start, end):
        """Press at a point of the window, move to another, and release."""
        steps = (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end))
        for kind, (x, y) in steps:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1,
                      clickCount=1)  # fmt: skip

    def picture(self, whole=False):
        """What is seen, as the bytes of a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def complaints(self):
        """Errors, warnings and refused loads that the page has caused."""
        return [e for e in self.events if e.get("method") in CONSOLE]

    def requests(self):
        """The addresses that the page has asked for."""
        sent = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [e["params"]["request"]["url"] for e in sent]

    def close(self):
        self.timer.cancel()
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.back)
        shutil.rmtree(self.folder, ignore_errors=True)
