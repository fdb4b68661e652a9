"""A garbage collection may come at any moment, and who is told of it may open files: Python must live on."""

import os

SCENE = """
import contextvars
import gc
from nbflow.probe.recorder import Recorder

def opens(phase, info):
    with open(__file__):
        pass

variables = [contextvars.ContextVar(f"v{i}") for i in range(60)]
recorder = Recorder()
with recorder.watching():
    gc.callbacks.append(opens)
    gc.set_threshold(1, 1, 1)
    for n in range(300):
        def inner():
            tokens = [each.set([n]) for each in variables]
            for each, token in zip(variables, tokens):
                each.reset(token)
        contextvars.copy_context().run(inner)
    gc.callbacks.remove(opens)
print("alive")
"""


def test_a_callback_of_the_collector_that_opens_a_file_ends_no_kernel(scene, place):
    path = os.path.join(place, "collector.py")
    with open(path, "w") as stream:
        stream.write(SCENE)
    for _ in range(2):
        # What is freed too early is overwritten at once, so that its use shows.
        assert scene(path, env={"PYTHONMALLOC": "debug"}) == "alive\n"
