"""A task's cell as text: its head, and its body as plain Python that compiles under the cell's own lines."""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Any

from IPython.core.compilerop import code_name

from nbflow.lean import dataclass
from nbflow.notebook.comment import is_task_comment, parse_comment
from nbflow.notebook.header import Head, parse_head, split_head

if TYPE_CHECKING:
    from nbflow.notebook.forms import CellForms


@dataclass(frozen=True, slots=True)
class CellSource:
    """head: read; body: plain Python, IPython's syntax transformed; first_line: of the body in its cell, from 1."""

    head: Head
    body: str
    filename: str
    first_line: int

    @property
    def as_cell(self) -> str:
        """Which cell it is for front ends that do not tell: the same text is the same cell."""
        return f"text:{self.head.text}\n{self.body}"


def read_source(shell: Any, forms: CellForms, line: str, cell: str) -> CellSource:
    """The cell behind `%%task`. Raises HeadError."""
    if is_task_comment(line):
        head, body, head_lines, head_text = parse_comment(line, shell.user_ns), cell, 1, line.strip()
    else:
        text, body, head_lines = split_head(line, cell)
        head = parse_head(text, shell.user_ns)
        # The head stands in as a comment: tracebacks show it, and equal bodies under other heads differ.
        head_text = "\n".join(f"# {each}" for each in f"%%task {text}".split("\n"))
    body = as_python(shell, forms, body)
    return CellSource(head, body, kept(shell, f"{head_text}\n{body}"), head_lines + 1)


def kept(shell: Any, text: str) -> str:
    """Keeps the text of the cell that runs where tracebacks look for it; gives its file name, the same for equal texts.

    Not under the name that a kernel would give it: of a file that ends in .py and is not there, IPython shows the lines
    of a function wrongly, unless they begin with its `def`.
    """
    name = code_name(text)
    linecache.cache[name] = (len(text), None, [f"{line}\n" for line in text.splitlines()], name)
    # As `shell.compile.cache` does it, which leaves no choice of the name: "Cell In[3]" in tracebacks.
    shell.compile._filename_map[name] = shell.execution_count
    return name


def as_python(shell: Any, forms: CellForms, body: str) -> str:
    """A body with IPython's syntax made into Python, each line at its place."""
    # IPython drops empty lines at the head, which would move all others.
    blank = len(body) - len(body.lstrip("\n"))
    with forms.resting():
        return "\n" * blank + str(shell.transform_cell(body))
