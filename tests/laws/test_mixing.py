"""Tasks of one flow, each called where it says."""

import os
import time

from nbflow import Flow, task


def test_one_flow_fetches_in_threads_and_crunches_in_other_processes(tmp_path, away):
    def fetch(x):
        time.sleep(0.02)
        return list(range(x)), os.getpid()

    def crunch(fetched):
        return sum(fetched[0]), os.getpid()

    with Flow("mixed", store=tmp_path / "store") as flow:
        fetched = task(fetch).map(range(20))
        crunched = task(crunch, executor=away).map(fetched)
        task(lambda all_: (sum(value for value, _ in all_), os.getpid()), name="total")(crunched)
    run = flow.run()
    assert run["total"] == (sum(sum(range(x)) for x in range(20)), os.getpid())
    assert {pid for _, pid in run["fetch"]} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in run["crunch"]}
