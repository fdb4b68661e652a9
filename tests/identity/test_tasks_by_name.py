"""In a code id a task that is only called, or mapped, counts by its name; any other use of it by content."""

import types

import pytest

from nbflow import task
from nbflow.flow.workshop import PACKAGES, SOURCES, _is_node, _task_function
from nbflow.identity.code import CodeIds

BY_NAME = [
    "return child(1)",
    "return [child(i) for i in range(3)]",
    "return {i: child(i) for i in range(3)}",
    "return child.map([1, 2])",
    "return child.product([1], [2])",
    "def inner():\n        return child(1)\n    return inner()",
    "return (lambda: child(1))()",
    "return module.child(1)",
    "return module.child.map([1])",
    "from somewhere import child as c\n    return c(1)",
    "with child(1) as node:\n        return node",
    "return child(child(1))",
    "return [child(1)] + [child(*[2], **{})]",
    "return child(1 if len('a') else 2)",
    "return child([i for i in range(3)], y=2)",
    "return child(f'{len(str(1))!r:>{3}}', y={1: [2], **{}})",
    "return child(lambda a=1: a, y=(1, 2)[0:1])",
    "return child(len('a') and 1 or 2, not 3)",
    "return child(**{'x': 1})",
    "if len('a') == 1:\n        return child(1)\n    return child.map([2])",
]
BY_CONTENT = [
    "return child.fn(1)",
    "return child",
    "return [child][0](1)",
    "c = child\n    return c(1)",
    "return list(map(child, [1]))",
    "return child.with_options(retries=2)(1)",
    "return child.options",
    "return module.child",
    "return (child(1), child.fn(2))",
    "return getattr(child, 'map')([1])",
    "return [1, child][1](1)",
    "return {'f': child}['f'](1)",
    "return len([child])",
    "return max(child, child, key=id)",
    "return repr(child)",
    "return (1, child, child(2))",
]


def code_id(body, child_body, monkeypatch, *, closure=False):
    namespace = {"task": task}
    exec(f"@task\ndef child(x=0, y=0):\n    return {child_body}", namespace)
    module = types.ModuleType("somewhere")
    module.child = namespace["child"]
    monkeypatch.setitem(__import__("sys").modules, "somewhere", module)
    namespace["module"] = module
    if closure:
        lines = body.replace("\n", "\n    ")
        exec(f"def make(child):\n    def parent():\n        {lines}\n    return parent", namespace)
        parent = namespace["make"](namespace["child"])
    else:
        exec(f"def parent():\n    {body}", namespace)
        parent = namespace["parent"]
    codes = CodeIds(SOURCES, PACKAGES, is_input=_is_node, called_by_name=_task_function)
    return codes.identify(parent).id


@pytest.mark.parametrize("body", BY_NAME)
def test_a_task_that_is_only_called_counts_by_name(body, monkeypatch):
    assert code_id(body, "1", monkeypatch) == code_id(body, "2", monkeypatch)


@pytest.mark.parametrize("body", BY_CONTENT)
def test_any_other_use_counts_by_content(body, monkeypatch):
    assert code_id(body, "1", monkeypatch) != code_id(body, "2", monkeypatch)


CLOSURES = [body for body in BY_NAME if "somewhere" not in body and "module" not in body]
OTHER_CLOSURES = [body for body in BY_CONTENT if "module" not in body]


@pytest.mark.parametrize("body", CLOSURES)
def test_the_same_holds_for_closures(body, monkeypatch):
    assert code_id(body, "1", monkeypatch, closure=True) == code_id(body, "2", monkeypatch, closure=True)


@pytest.mark.parametrize("body", OTHER_CLOSURES)
def test_other_uses_in_closures_count_by_content(body, monkeypatch):
    assert code_id(body, "1", monkeypatch, closure=True) != code_id(body, "2", monkeypatch, closure=True)
