"""Cells of a notebook in other processes: what lives in the notebook alone goes along, what they show comes back."""

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = [
    "%load_ext nbflow",
    """
import matplotlib.pyplot as plt
import pandas as pd
from dataclasses import dataclass
@dataclass
class Point:
    x: int
K = 2
def helper(x):
    return Point(x * K)
""",
    """%%task points for i in range(6) --executor {executor}
print("at", i)
helper(i)""",
    """%%task xs for p in points --executor {executor}
assert isinstance(p, Point)
p.x + 1""",
    """%%task drawn --executor {executor}
figure, ax = plt.subplots()
ax.plot(xs)
display(pd.DataFrame({{"shown": xs}}))
plt.show()
said = !echo from a command
said""",
    "print([p.x for p in points], isinstance(points[0], Point), xs, drawn)",
    """%%task bad for p in points --executor {executor}
1 / (p.x - 4)""",
    """@dataclass
class Point:
    x: int
    y: int = 5""",
    "%flow run xs",
    "print(points[1])",
]


@pytest.fixture
def play(tmp_path):
    def run(executor, cells=CELLS):
        notebook = nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_code_cell(cell.format(executor=executor) if "{executor}" in cell else cell)
                for cell in cells
            ]
        )
        client = NotebookClient(
            notebook, allow_errors=True, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        )
        client.execute()
        return [cell.outputs for cell in notebook.cells]

    return run


def texts(outputs):
    return "".join(o.get("text", "") for o in outputs if o.output_type == "stream")


def kinds(outputs):
    return [kind for o in outputs if o.output_type == "display_data" for kind in o.data]


def test_classes_helpers_displays_figures_and_commands_of_a_notebook(play, away):
    outputs = play(away)
    assert "at 5" in texts(outputs[2])
    assert "text/html" in kinds(outputs[4])
    assert "image/png" in kinds(outputs[4])
    assert texts(outputs[5]) == "[0, 2, 4, 6, 8, 10] True [1, 3, 5, 7, 9, 11] ['from a command']\n"
    (error,) = [o for o in outputs[6] if o.output_type == "error" or "ZeroDivision" in o.get("text", "")]
    block = "\n".join(error.get("traceback", [])) or error.text
    assert "bad[2]" in block
    assert "1 / (p.x - 4)" in block
    # A class that was edited is another class, in the workers, too.
    assert "Point(x=2, y=5)" in texts(outputs[9])


FIRST = "K = 1\ndef g(x):\n    return x * K\nclass C:\n    k = 1\n    def m(self):\n        return self.k\n"
SECOND = (
    "K = 7\ndef more(x):\n    return x + 1\ndef g(x):\n    return more(x * K)\n"
    "class C:\n    k = 3\n    def m(self):\n        return self.k * 2\n"
)
RELOADED = [
    "%load_ext nbflow\n%load_ext autoreload\n%autoreload 2",
    f"""import os
open("law_edited.py", "w").write({FIRST!r})
import law_edited
from law_edited import g""",
    "%%task a for x in range(2) --executor {executor}\n(law_edited.g(x), g(x), law_edited.C().m(), law_edited.K)",
    "print(a)",
    # A time of its own: the clock of files may be coarse.
    f"""open("law_edited.py", "w").write({SECOND!r})
os.utime("law_edited.py", ns=(2 * 10**18, 2 * 10**18))""",
    "print(a)",
]


def test_what_autoreload_puts_into_a_module_is_run(play, away):
    outputs = play(away, RELOADED)
    assert texts(outputs[3]) == "[(0, 0, 1, 1), (1, 1, 1, 1)]\n"
    assert texts(outputs[5]) == "[(1, 1, 6, 7), (8, 8, 6, 7)]\n"
