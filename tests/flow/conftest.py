"""Flows written as a user's file, edited from one time to the next."""

import itertools
import textwrap
import types

import pytest

HEAD = """
import os
from pathlib import Path
import numpy as np
import pandas as pd
import nbflow
from nbflow import Flow, Parameter, loop, signals, switch, task, triggers, unmapped
"""


class Script:
    """Runs the text of a file that makes a flow called `f`; what it defines are its attributes."""

    def __init__(self, folder):
        self.folder = folder
        self.store = folder / "store"
        self._numbers = itertools.count()

    def __call__(self, text, **values):
        source = HEAD + textwrap.dedent(text)
        # A file of its own each time: Python keeps the lines of those it has read.
        path = self.folder / f"script_{next(self._numbers)}.py"
        path.write_text(source)
        space = {"__name__": "script", "STORE": str(self.store), **values}
        exec(compile(source, str(path), "exec"), space)
        return types.SimpleNamespace(**space)

    def flow(self, text, **values):
        """The flow that the indented lines of text are the body of; lines before `---` stand above it."""
        above, _, body = textwrap.dedent(text).rpartition("---\n")
        lines = [
            *above.splitlines(),
            'with Flow("f", store=STORE) as flow:',
            *textwrap.indent(body, "    ").splitlines(),
        ]
        return self("\n".join(lines), **values).flow


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Script(tmp_path)
