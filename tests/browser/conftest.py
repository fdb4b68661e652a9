"""A real JupyterLab, driven through Debian's Chromium: one server a session, one browser a module, a page a test.

The tests are skipped where there is no Chromium, unless NBFLOW_BROWSER=required is set, as `.ci/run` does. Screenshots
are kept under `build/screens/`.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "build" / "screens"
# Cold starts of a kernel on a busy machine take their time; nothing waits longer than it must.
PATIENCE_S = 40
# What Chromium says that has nothing to do with what a page holds.
NOISE = ("favicon", "WebGL", "ERR_ABORTED", "ERR_BLOCKED_BY_CLIENT")


@pytest.fixture(scope="module")
def browser():
    """Ended with each module: as long as Playwright is there, an event loop runs in the thread of the tests."""
    chromium = shutil.which("chromium")
    if chromium is None:
        message = "there is no Chromium on the PATH; as root: apt-get update && apt-get install -y chromium"
        if os.environ.get("NBFLOW_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    quiet = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    arguments = [*quiet.split(), "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A JupyterLab of its own, with nothing of the user's settings."""
    server = LabServer(tmp_path_factory.mktemp("lab"))
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


@pytest.fixture
def notebook(browser, lab, request):
    """Makes and opens notebooks: `notebook(["x = 1", "x"])`. What their pages did wrong fails the test at its end."""
    opened = []

    def make(cells, *, theme="light"):
        path = lab.write(cells)
        context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme=theme)
        opened.append(Notebook(context, lab, path, theme))
        opened[-1].open()
        return opened[-1]

    yield make
    for each in opened:
        each.screenshot(request.node.name)
        each.shut_down()
        each.context.close()
    for each in opened:
        assert each.elsewhere == [], "no request may leave this machine"
        assert each.console_errors == []


class LabServer:
    """The process of one JupyterLab; folder: what it shows."""

    def __init__(self, place):
        self.folder = place / "work"
        self.folder.mkdir()
        (self.folder / "pyproject.toml").touch()  # here nbflow keeps its results
        settings = place / "config" / "labconfig" / "page_config.json"
        settings.parent.mkdir(parents=True)
        unasked = {"@jupyterlab/apputils-extension:announcements": True}  # it would ask for news
        settings.write_text(json.dumps({"disabledExtensions": unasked}))
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        own = {f"JUPYTER_{name}_DIR": str(place / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        own |= {f"JUPYTERLAB_{name}_DIR": str(place / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
        self._log = (place / "server.log").open("w+b")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={self.port}",
                "--ServerApp.port_retries=0",
                f"--ServerApp.root_dir={self.folder}",
                f"--IdentityProvider.token={self.token}",
                "--LabApp.extension_manager=readonly",
            ],
            cwd=self.folder,
            env={**os.environ, **own, "IPYTHONDIR": str(place / "ipython"), "PYTHONPATH": str(ROOT)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._count = 0

    def wait_until_up(self):
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.api("status")
            except OSError:  # not there yet, or only just
                if self._process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"JupyterLab did not start:\n{self.log()}")
                time.sleep(0.1)
            else:
                return

    def log(self):
        self._log.flush()
        return Path(self._log.name).read_text(errors="replace")[-5000:]

    def api(self, path, method="GET"):
        """What the server's REST interface answers."""
        request = urllib.request.Request(
            f"{self.url}/api/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def write(self, cells):
        """A new notebook file of code cells; gives its name."""
        self._count += 1
        name = f"notebook-{self._count}.ipynb"
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(made, self.folder / name)
        return name

    def wait_for_lines(self, name, count):
        """Until a file that tasks write has so many lines."""
        path = self.folder / name
        end = time.monotonic() + PATIENCE_S
        while not path.exists() or len(path.read_text().splitlines()) < count:
            assert time.monotonic() < end, f"the tasks that write {name} do not run"
            time.sleep(0.05)

    def stop(self):
        for session in self.api("sessions"):
            self.api(f"sessions/{session['id']}", "DELETE")
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class Notebook:
    """One notebook in a page of its own, used as a person would: keys, clicks, and what is seen."""

    def __init__(self, context, lab, name, theme):
        self.context = context
        self.lab = lab
        self.name = name
        self.theme = theme
        self.console_errors = []
        self._forgiven = NOISE
        self.elsewhere = []
        self.page = None

    def open(self):
        """Opens the notebook in a new page, and waits until its kernel is idle."""
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.on("request", self._requested)
        self.page.goto(
            f"{self.lab.url}/lab/workspaces/{Path(self.name).stem}/tree/{self.name}?reset&token={self.lab.token}"
        )
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.wait_connected()
        theme = f"JupyterLab {self.theme.capitalize()}"
        # The server remembers the theme of the test before.
        if self.page.locator("body").get_attribute("data-jp-theme-name") != theme:
            self.command("apputils:change-theme", {"theme": theme})
            self.page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")

    def command(self, name, arguments=None):
        """Executes one of JupyterLab's commands; returns when it is done."""
        self.page.evaluate("([name, args]) => jupyterapp.commands.execute(name, args)", [name, arguments or {}])

    def confirm(self, name):
        """Executes a command that asks, and says yes."""
        if "restart" in name:
            # The last messages of a kernel that was killed may be about a widget that went with it.
            self._forgiven = (*self._forgiven, "Comm not found")
        self.page.evaluate("(name) => { jupyterapp.commands.execute(name) }", name)
        self.page.locator(".jp-Dialog .jp-mod-accept").click()

    def cell(self, number):
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def output(self, number):
        """The output area of a cell."""
        return self.cell(number).locator(".jp-Cell-outputArea")

    def start(self, number):
        """Runs a cell by Shift-Enter, and does not wait."""
        self._select(number)
        self.page.keyboard.press("Shift+Enter")

    def _select(self, number):
        self.cell(number).scroll_into_view_if_needed()
        self.cell(number).locator(".cm-content").click()

    def run(self, number):
        """Runs a cell, waits until it is done, and gives its output area."""
        self._select(number)
        self.command("notebook:run-cell")
        self.wait_idle()
        return self.output(number)

    def prompt(self, number):
        return self.cell(number).locator(".jp-InputPrompt").inner_text()

    def wait_for_prompt(self, number, text):
        """Until a cell's number reads so: "[*]:" runs, "[ ]:" has not run."""
        self.page.wait_for_function(
            "([i, text]) => document.querySelectorAll('.jp-Notebook .jp-Cell')[i]"
            ".querySelector('.jp-InputPrompt').innerText === text",
            arg=[number, text],
        )

    def run_all(self):
        self.command("notebook:run-all-cells")
        self.wait_idle()

    def edit(self, number, source):
        """Replaces a cell's text."""
        self.cell(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)

    def wait_connected(self):
        """Until there is a kernel that answers; JupyterLab asks which to take when a cell is run before."""
        self.page.wait_for_function(
            "() => { const context = jupyterapp.shell.currentWidget?.sessionContext;"
            " const kernel = context?.session?.kernel;"
            " return context?.isReady && kernel?.status === 'idle' && kernel.connectionStatus === 'connected' }"
        )

    def wait_busy(self):
        self.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=busy]")

    def wait_idle(self):
        self.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")

    def interrupt(self):
        """By the toolbar's button."""
        self.page.locator("[data-jp-item-name=interrupt]").first.click()

    def save(self):
        self.command("docmanager:save")
        return nbformat.read(self.lab.folder / self.name, 4)

    def reopen(self):
        """Saves, shuts the kernel down, closes the page and opens the file anew."""
        self.save()
        self.shut_down()
        self.page.close()
        self.open()

    def shut_down(self):
        for session in self.lab.api("sessions"):
            if session["path"] == self.name:
                self.lab.api(f"sessions/{session['id']}", "DELETE")

    def screenshot(self, name):
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENS / f"{name}.png")

    def _heard(self, message):
        if message.type == "error" and not any(each in message.text for each in self._forgiven):
            self.console_errors.append(message.text)

    def _requested(self, request):
        local = ("data:", "blob:", f"{self.lab.url}/", self.lab.url.replace("http", "ws") + "/")
        if not request.url.startswith(local):
            self.elsewhere.append(request.url)
