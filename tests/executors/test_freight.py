"""What is carried to a cluster, with none."""

import subprocess
import sys

# Views of views in a cycle end Python, or have it complain, when they are collected (seen with 3.11 and 3.12).
COLLECTED = """
import gc, pickle
import numpy as np
from nbflow.executors.freight import Freight
from nbflow.executors.order import Packed

class Knot:
    pass

gc.disable()
for _ in range(50):
    packed = Packed(b"", (pickle.PickleBuffer(np.ones(100_000)).raw(),))
    freight, frames = Freight.of(packed), []
    body = pickle.dumps(freight, protocol=5, buffer_callback=frames.append)
    views = [frame.raw() for frame in frames]
    arrived = pickle.loads(body, buffers=views).open()
    assert (np.frombuffer(arrived.buffers[0]) == 1).all()
    knot = Knot()
    knot.held = packed, freight, frames, views, arrived
    knot.itself = knot
    del packed, freight, frames, body, views, arrived, knot
print(gc.collect() > 0)
"""


def test_freight_in_a_cycle_is_collected_like_anything_else():
    done = subprocess.run([sys.executable, "-c", COLLECTED], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
