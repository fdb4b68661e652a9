"""A store that holds more than it may lets values go: which, in what order, and what stays of them."""

import contextlib
import sqlite3
import time

import numpy as np
import pytest

from nbflow import Flow, task
from nbflow.errors import DamagedEntry, NbflowWarning, StoreRefused
from nbflow.store import LOOP_STEP, SKIP, Last, Store
from nbflow.store.rows import GONE
from nbflow.store.sizes import parse_bytes

DAY_NS = 86400 * 10**9
SIZE = 100_000


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A store that may hold half a megabyte."""
    monkeypatch.setenv("NBFLOW_STORE_MAX", "500kB")


def key(name):
    return name.encode().ljust(16, b"-")


def fill(store, make_entry, **entries):
    """Puts values of 100 kB, as if another session had: the store is opened anew."""
    for name, changes in entries.items():
        options = {"task": name, "made_ns": time.time_ns() - DAY_NS, "out": key(name), **changes}
        size = options.pop("size", SIZE)
        store.put([make_entry(np.full(size // 8, float(ord(name[0]))), key=key(name), **options)])
    store._commit()
    store.close()
    return Store.open(store.root, store._tell)


def held(store):
    """The names of the values that are there."""
    rows = store._read("SELECT task FROM entry WHERE codec <> 'gone' ORDER BY task")
    return [task for (task,) in rows]


def test_below_what_it_may_hold_nothing_goes(store, make_entry):
    fill(store, make_entry, a={}, b={}, c={}).close()
    store = Store.open(store.root)
    store.flush()
    assert held(store) == ["a", "b", "c"]
    store.close()


ORDERS = {
    "cheap to make before costly": ({"a": {"seconds": 100.0}, "b": {"seconds": 0.01}}, "b"),
    "long unused before lately": (
        {"a": {"made_ns": time.time_ns() - 2 * DAY_NS}, "b": {"made_ns": time.time_ns() - 90 * DAY_NS}},
        "b",
    ),
    "large before small for the same time": ({"a": {"size": 80_000}, "b": {"size": 200_000}}, "b"),
    "expired before all": ({"a": {"seconds": 0.01}, "b": {"seconds": 100.0, "expires_ns": 1}}, "b"),
    "iterations of loops like others": ({"a": {"seconds": 9.0}, "b": {"kind": LOOP_STEP}}, "b"),
}


@pytest.mark.parametrize("name", ORDERS)
def test_what_goes_first(name, store, make_entry):
    entries, first = ORDERS[name]
    store = fill(store, make_entry, **entries)
    store.room.let_go(1)
    assert held(store) == sorted(set(entries) - {first})
    store.close()


def test_what_was_used_lately_stays_longer(store, make_entry):
    old = {"made_ns": time.time_ns() - 90 * DAY_NS}
    store = fill(store, make_entry, a=old, b=old)
    store.look_up([key("a")])
    store.close()
    store = Store.open(store.root)
    store.room.let_go(1)
    assert held(store) == ["a"]
    store.close()


def test_what_a_flow_uses_goes_after_what_none_uses_any_more(store, make_entry):
    store = fill(store, make_entry, a={"seconds": 0.0}, b={"seconds": 50.0})
    store.put_last("other notebook", "a", Last(b"d" * 16, b"c" * 16, (), key("a"), 0.0, 1))
    store.close()
    store = Store.open(store.root)
    store.room.let_go(1)
    assert held(store) == ["a"]
    store.room.let_go(1)
    assert held(store) == []
    store.close()


def test_what_this_session_uses_never_goes_and_that_is_told(store, make_entry, told):
    names = "abcdefgh"
    for name in names:
        store.put([make_entry(np.full(SIZE // 8, 1.0), key=key(name), task=name, seconds=0.0)])
    store.flush()
    assert held(store) == list(names)
    assert "more than its 500.0 kB" in told[0]
    assert "NBFLOW_STORE_MAX" in told[0]


def test_what_the_sessions_flow_had_stays_when_a_later_run_begins(store, make_entry):
    store = fill(store, make_entry, a={"seconds": 0.0}, b={})
    store.put_last("mine", "a", Last(b"d" * 16, b"c" * 16, (), key("a"), 0.0, 1))
    store.flush()
    store.begin()
    assert [each.row.task for each in store.room.candidates()] == ["b"]
    store.close()


def test_room_is_made_when_a_result_is_put(store, make_entry):
    store = fill(store, make_entry, a={}, b={}, c={}, d={})
    store.put([make_entry(np.ones(SIZE // 8), key=key("z"), task="z")])
    store.flush()
    assert "z" in held(store)
    assert store.room.held_bytes() <= 450_000
    assert len(list((store.root / "blobs").glob("*/*"))) == len(held(store))
    store.close()


def test_small_values_in_the_database_go_too_and_their_room_is_used_again(store, make_entry, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE_MAX", "1MB")
    text = {name: {"size": 40_000} for name in "abcdefghijklmnopqrstuvwxyz"}
    store = fill(store, make_entry, **text)
    before = store.room.held_bytes()
    assert store.room.let_go(400_000)[1] >= 400_000
    assert store.room.held_bytes() <= before - 300_000
    store.close()


def test_ids_stay_when_values_go(store, make_entry, told):
    store = fill(store, make_entry, a={"members": b"m" * 32})
    store.room.let_go(1)
    (row,) = store.look_up([key("a")])[key("a")]
    assert (row.out, row.members, row.codec, row.blob) == (key("a"), b"m" * 32, GONE, None)
    with pytest.raises(DamagedEntry, match="let go to make room"):
        store.load(row)
    store.close()


def test_a_value_that_is_asked_for_is_no_answer_until_it_is_made_again(store, make_entry):
    store = fill(store, make_entry, a={})
    store.room.let_go(1)
    (row,) = store.look_up([key("a")])[key("a")]
    with pytest.raises(DamagedEntry):
        store.load(row)
    assert store.look_up([key("a")]) == {key("a"): []}
    store.put([make_entry(np.ones(SIZE // 8), key=key("a"), out=key("a"))])
    store.flush()
    (row,) = store.look_up([key("a")])[key("a")]
    assert store.load(row).sum() == SIZE // 8
    store.close()


def test_its_id_counts_again_when_later_runs_do_not_need_it(store, make_entry):
    store = fill(store, make_entry, a={})
    store.room.let_go(1)
    (row,) = store.look_up([key("a")])[key("a")]
    with pytest.raises(DamagedEntry):
        store.load(row)
    store.begin()
    assert store.look_up([key("a")])[key("a")] == []
    store.begin()
    assert store.look_up([key("a")])[key("a")] == [row]
    store.close()


def test_skips_never_go(store, make_entry):
    store = fill(store, make_entry, a={"kind": SKIP})
    assert store.room.candidates() == []
    store.close()


@pytest.mark.parametrize(
    ("text", "size"), [("20GB", 20 * 10**9), ("1.5 TiB", 1.5 * 2**40), ("500 mb", 5 * 10**8), ("12", 12)]
)
def test_sizes_are_written_as_people_do(text, size):
    assert parse_bytes(text) == size


def test_a_setting_that_is_no_size_is_told(store, make_entry, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE_MAX", "much")
    with pytest.raises(StoreRefused, match="NBFLOW_STORE_MAX='much': write a number and a unit, such as \"500MB\""):
        Store.open(store.root)


# With flows

CALLS = []


@task(ignore=["CALLS"])
def load(n):
    CALLS.append("load")
    return np.arange(n, dtype=float)


@task(ignore=["CALLS"])
def total(x):
    CALLS.append("total")
    return float(x.sum())


@task(ignore=["CALLS"])
def mean(x):
    CALLS.append("mean")
    return float(x.mean())


def flow_of(root, *readers):
    with Flow("room", store=root) as flow:
        loaded = load(50_000)
        for reader in readers:
            reader(loaded)
    CALLS.clear()
    return flow


def let_all_go(flow):
    """Lets go what the flow uses, as when another session had needed the room."""
    flow.store.close()
    with contextlib.closing(Store.open(flow.store.root)) as store:
        store.room.let_go(10**9)
        assert store._read("SELECT count(*) FROM entry WHERE codec = 'gone'")[0][0]


def test_nothing_runs_only_since_a_value_was_let_go(tmp_path):
    flow = flow_of(tmp_path / "store", total)
    flow.run()
    let_all_go(flow)
    flow = flow_of(tmp_path / "store", total)
    assert flow.plan().will_run == []
    assert flow.run()["total"] == sum(range(50_000))
    assert CALLS == []


def test_a_value_that_is_needed_is_made_again_and_only_that(tmp_path):
    flow = flow_of(tmp_path / "store", total)
    flow.run()
    let_all_go(flow)
    flow = flow_of(tmp_path / "store", total, mean)
    told = []
    flow.tell = told.append
    assert flow.run()["mean"] == 49_999 / 2
    assert CALLS == ["load", "mean"]
    assert told == ["load: was let go to make room in the store; it is computed again"]
    flow = flow_of(tmp_path / "store", total, mean)
    flow.run()
    assert CALLS == []


def test_a_plan_tells_what_is_made_again_since_it_was_let_go(tmp_path):
    flow = flow_of(tmp_path / "store", total)
    flow.run()
    let_all_go(flow)
    plan = flow_of(tmp_path / "store", total, mean).plan()
    assert plan.will_run == ["load", "mean"]
    assert plan["load"].reasons[0].text == "its result was let go to make room in the store, and `mean` needs it"


def test_a_value_that_somebody_looks_at_is_made_again(tmp_path):
    flow = flow_of(tmp_path / "store", total)
    flow.run()
    let_all_go(flow)
    flow = flow_of(tmp_path / "store", total)
    run = flow.run()
    assert run["load"].sum() == sum(range(50_000))
    assert CALLS == ["load"]


def test_elements_of_a_map_are_made_again_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE_MAX", "5MB")

    def build(with_mean):
        with Flow("room", store=tmp_path / "store") as flow:
            loaded = load.map([50_000, 60_000, 10])
            (mean if with_mean else total).map(loaded)
        CALLS.clear()
        return flow

    flow = build(False)
    flow.run()
    let_all_go(flow)
    flow = build(True)
    reason = "2 of 3 results were let go to make room in the store, and `mean` needs it"
    assert [each.text for each in flow.plan()["load"].reasons] == [reason]
    with pytest.warns(NbflowWarning, match="let go to make room"):
        run = flow.run()
    assert sorted(CALLS) == ["load", "load", "mean", "mean", "mean"]
    assert run["mean"] == [49_999 / 2, 59_999 / 2, 4.5]


def test_what_was_let_go_is_counted_by_no_file(tmp_path):
    flow = flow_of(tmp_path / "store", total)
    flow.run()
    let_all_go(flow)
    assert not list((tmp_path / "store" / "blobs").glob("*/*"))
    with contextlib.closing(sqlite3.connect(tmp_path / "store" / "index.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM orphan").fetchone() == (0,)
