"""What may happen to a run, a store or a graph, each case across restarts; the numbers are those of the table."""

import pytest

HEAD = """
import os, sys, threading
import numpy as np
from nbflow import Flow, merge, switch, task
"""
TAIL = """
run = flow.run(check=True)
print("VALUE", run[{result!r}])
"""


def program(body, result="b"):
    return HEAD + body + TAIL.format(result=result)


KILLED = """
import os, signal, sqlite3, sys, time
from nbflow import Flow, task

def stored_rows():
    database = sqlite3.connect("store/index.sqlite")
    try:
        return database.execute("SELECT count(*) FROM results").fetchone()[0]
    finally:
        database.close()

def killed_once_a_result_is_kept():
    deadline = time.monotonic() + 20
    while stored_rows() < 10 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.{signal})

@task(ignore=["killed_once_a_result_is_kept"], executor="sync")
def a(x):
    sys.stdout.write(f"RAN a {x}" + chr(10))
    sys.stdout.flush()
    if x == 39 and not os.path.exists("second"):
        killed_once_a_result_is_kept()
    return x * 10

@task
def b(xs):
    print("RAN b")
    return sum(xs)

with Flow("case", store="store") as flow:
    b(a.map(list(range(40))))
run = flow.run(check=True)
print("VALUE", run["b"])
"""
