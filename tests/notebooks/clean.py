"""What a notebook saves when it runs again: cells of tasks and pictures are the same, to the byte."""

import json


def is_clean(cell):
    """Whether a cell is that of a task, or shows a flow; plans, runs and tables tell of times, and may differ."""
    if cell.cell_type != "code" or not cell.source.strip():
        return False
    source = cell.source.strip()
    pictures = any('class="nbflow"' in "".join((each.get("data") or {}).get("text/html", "")) for each in cell.outputs)
    last = source.splitlines()[-1]
    flow = last == "%flow" or (last.isidentifier() and ".run(" not in source)
    return source.startswith(("%%task", "%%flow", "# task")) or (pictures and flow)


def assert_saves_the_same(first, second):
    """Of the cells of one notebook that was executed twice."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if is_clean(a)]
    assert pairs
    for a, b in pairs:
        saved = [json.dumps([cell.execution_count, cell.outputs], sort_keys=True) for cell in (a, b)]
        assert saved[0] == saved[1], a.source
