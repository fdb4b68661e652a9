"""One line a node, with nothing run and nothing large hashed."""

import os
import re

import numpy as np
import pytest

import nbflow.flow.status
from nbflow import Flow, task
from nbflow.errors import UnknownName
from nbflow.identity.value import Identifier

TEXT = "K = {k}\n@task\ndef a(x):\n    return x * K\n@task\ndef b(x):\n    return x\n---\nb(a(1))\nb.map([1, 2], name='m')\n"


def test_each_node_has_a_line(script):
    flow = script.flow(TEXT.format(k=1))
    assert repr(flow.status()).splitlines() == ["○ a: new", "○ b: new", "○ m 0/2: new"]
    flow.run()
    assert repr(flow.status()).splitlines() == ["✓ a: fresh", "✓ b: fresh", "✓ m 2/2: fresh"]
    edited = script.flow(TEXT.format(k=2)).status()
    assert repr(edited).splitlines() == ["◐ a: stale", "? b: unknown (depends on what `a` will give)", "✓ m 2/2: fresh"]
    assert edited["a"].reasons[0].text == "global `K`: 1 → 2"
    with pytest.raises(UnknownName, match="has no task 'c'"):
        edited["c"]


def test_large_values_are_not_hashed(tmp_path, monkeypatch):
    array = np.zeros(7_000_000)

    @task(cache=None)
    def given(x):
        return len(x)

    @task
    def reads():
        return len(array)

    @task
    def behind(x):
        return x

    with Flow("f", store=tmp_path / "store") as flow:
        behind(given(array))
        reads()
        behind(1, name="other")
    hashed = []
    identify = Identifier.__call__

    def noted(self, value, *rest):
        if isinstance(value, np.ndarray):
            hashed.append(value.nbytes)
        return identify(self, value, *rest)

    monkeypatch.setattr(Identifier, "__call__", noted)
    lines = repr(flow.status()).splitlines()
    assert hashed == []
    assert lines == [
        "? given: unknown (`x` is large; flow.plan() looks at it)",
        "? behind: unknown (`x` is large; flow.plan() looks at it)",
        "? reads: unknown (`array` is large; flow.plan() looks at it)",
        "○ other: new",
    ]


def test_a_large_file_is_read_only_when_it_is_known_to_be_as_it_was(script, monkeypatch):
    path = script.folder / "big.bin"
    path.write_bytes(b"x" * 100)
    os.utime(path, (1, 1))
    text = '@task\ndef f():\n    return len(Path("big.bin").read_bytes())\n---\nf()\n'
    script.flow(text).run()
    monkeypatch.setattr(nbflow.flow.status, "LARGE_BYTES", 50)
    assert repr(script.flow(text).status()) == "✓ f: fresh"
    os.utime(path, (2, 2))
    read = []
    hash_file = nbflow.probe.files._hash_file
    monkeypatch.setattr(nbflow.probe.files, "_hash_file", lambda path: read.append(path) or hash_file(path))
    assert (
        repr(script.flow(text).status()) == "? f: unknown (big.bin is large and may have changed; flow.plan() reads it)"
    )
    assert read == []
    assert script.flow(text).plan().will_run == []
    assert repr(script.flow(text).status()) == "✓ f: fresh"


def test_a_plan_shows_durations_for_people_and_keeps_numbers(script):
    flow = script.flow(TEXT.format(k=1))
    flow.run()
    plan = script.flow(TEXT.format(k=2)).plan()
    assert plan.table.seconds.dtype == float
    head, *rows = repr(plan).splitlines()
    # Reasons begin below the head of their column.
    assert head.index("why") == rows[0].index("global `K`: 1 → 2") == rows[1].index("depends on what")
    assert all(re.search(r" \d+ (µs|ms)$", row) for row in rows)
    html = plan._repr_mimebundle_()["text/html"]
    assert '<td style="text-align:left">global `K`: 1 → 2</td>' in html
    assert re.search(r"<td>\d+ (µs|ms)</td>", html)


def test_what_failed_last_time_says_so_until_it_is_made_good(script):
    body = "@task\ndef a(x):\n    if x == {bad}:\n        raise ValueError('no')\n    return x\n@task\ndef b(x):\n    return x\n---\n"
    body += "b(a(1))\na.map([1, 2, 3], name='m')\n"
    flow = script.flow(body.format(bad=1))
    assert "failed" not in repr(flow.status())
    flow.run()
    assert repr(flow.status()).splitlines() == [
        "✗ a: failed last time",
        "○ b: new",
        "✗ m 2/3: failed last time",
    ]
    plan = flow.plan()
    assert plan.table.state.tolist() == ["failed last time", "new", "failed last time"]
    assert (plan["a"].freshness.label, plan["a"].state) == ("stale", "stale")
    assert flow.why("a").startswith("a is stale:\n  it failed last time: ValueError: no")
    html = plan.drawing()._repr_mimebundle_()["text/html"]
    # The word stands beside the symbol under the picture, and on hovering.
    assert "<b>✗</b> 2 failed" in html
    assert "failed last time" in html
    # An edit alone makes nothing good.
    flow = script.flow(body.format(bad=9))
    assert repr(flow.status()).splitlines()[0] == "✗ a: failed last time"
    flow.run()
    assert repr(flow.status()).splitlines() == ["✓ a: fresh", "✓ b: fresh", "✓ m 3/3: fresh"]
