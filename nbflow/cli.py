"""The command line: runs a notebook headless and says what was reused."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow.results.report import duration
from nbflow.store import Store, find_store

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when the notebook ran to its end, else 1."""
    parser = argparse.ArgumentParser(prog="python -m nbflow.cli", description=__doc__)
    commands = parser.add_subparsers(required=True)
    demo = commands.add_parser("demo", help="execute a notebook from top to bottom, and write it as HTML")
    demo.add_argument("notebook", type=Path)
    demo.add_argument("--out", type=Path, default=Path("build"), help="folder for the HTML (default: build)")
    demo.set_defaults(action=lambda options: run_notebook(options.notebook, options.out))
    options = parser.parse_args(arguments)
    status: int = options.action(options)
    return status


def run_notebook(notebook: Path, out: Path) -> int:
    """Executes a notebook in its own folder, writes it as HTML into out, and prints a short summary."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    started_ns, started = time.time_ns(), time.perf_counter()
    document: Any = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types
    client = NotebookClient(document, timeout=600, resources={"metadata": {"path": str(notebook.parent)}})
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"{notebook}: a cell failed\n{error}", file=sys.stderr)
        return 1
    page = _write_html(document, out / f"{notebook.stem}.html")
    _summary(notebook, page, started_ns, time.perf_counter() - started)
    return 0


def _write_html(document: Any, page: Path) -> Path:
    from nbconvert import HTMLExporter

    exporter = HTMLExporter()  # type: ignore[no-untyped-call]  # nbconvert has no types
    body, _ = exporter.from_notebook_node(document)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(body, encoding="utf-8")
    return page


def _summary(notebook: Path, page: Path, started_ns: int, seconds: float) -> None:
    store = Store.open(find_store(None, start=notebook.parent))
    runs = [run for run in store.runs() if run.started_ns >= started_ns]
    ran, reused, failed = (sum(getattr(run, name) for run in runs) for name in ("ran", "reused", "failed"))
    print(f"{notebook.name}: {ran} ran, {reused} reused, {failed} failed, in {duration(seconds)}")
    if ran == failed:
        print("all that can be was reused" + ("; only what had failed ran again" if failed else ""))
    print(f"HTML: {page}")
    store.close()


if __name__ == "__main__":
    sys.exit(main())
