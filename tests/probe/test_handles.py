"""Connections, clients, locks and loggers: as globals, arguments and results."""

import concurrent.futures
import logging
import os
import sqlite3
import threading
import warnings

import httpx
import pytest
import sqlalchemy

from nbflow import Flow, task
from nbflow.engine import run as engine_run
from nbflow.errors import UnidentifiableError
from nbflow.identity.handles import handle_of, outside_handle


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sqlite3.connect("file.db").execute("CREATE TABLE t (n)").connection.close()
    return tmp_path


INERT = {
    "logger": lambda: logging.getLogger("mine"),
    "lock": threading.Lock,
    "rlock": threading.RLock,
    "condition": threading.Condition,
    "event": threading.Event,
    "semaphore": lambda: threading.BoundedSemaphore(2),
    "pool": lambda: concurrent.futures.ThreadPoolExecutor(1),
    "sqlite file": lambda: sqlite3.connect("file.db", check_same_thread=False),
    "sqlite in memory": lambda: sqlite3.connect(":memory:", check_same_thread=False),
    "engine of a sqlite file": lambda: sqlalchemy.create_engine("sqlite:///file.db"),
}
OUTSIDE = {
    "client": httpx.Client,
    "async client": httpx.AsyncClient,
    "engine": lambda: sqlalchemy.create_engine("sqlite:///:memory:"),
    "client inside an object": lambda: {"api": [httpx.Client()]},
}


def flow_of(made, ran):
    @task(ignore=["ran"])
    def use(handle):
        ran.append("use")
        return 1

    @task(ignore=["ran"])
    def reach():
        ran.append("reach")
        return str(type(made))

    with Flow("handles", store="store") as flow:
        use(made)
        reach()
    return flow


@pytest.mark.parametrize("name", INERT)
def test_what_leads_nowhere_outside_counts_by_what_it_is(name):
    ran = []
    flow_of(INERT[name](), ran).run(check=True)
    assert sorted(ran) == ["reach", "use"]
    ran.clear()
    flow_of(INERT[name](), ran).run(check=True)
    assert ran == [], "another one of the same"


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_leads_outside_is_good_for_this_session_and_this_is_said_once_a_task(name, monkeypatch):
    ran = []
    with pytest.warns(UserWarning, match="reused in this session only") as told:
        flow_of(OUTSIDE[name](), ran).run(check=True)
    messages = [str(each.message) for each in told]
    assert sum("in this session only" in each and "max_age=" in each for each in messages) == len(messages) == 2
    ran.clear()
    flow_of(OUTSIDE[name](), ran).run(check=True)
    assert ran == []
    monkeypatch.setattr(engine_run, "_STARTED_NS", 0)
    with pytest.warns(UserWarning, match="in this session only"):
        flow_of(OUTSIDE[name](), ran).run(check=True)
    assert sorted(ran) == ["reach", "use"]


def test_a_database_that_was_written_to_counts_anew():
    ran = []
    connection = sqlite3.connect("file.db")
    flow_of(connection, ran).run(check=True)
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    ran.clear()
    flow_of(connection, ran).run(check=True)
    assert sorted(ran) == ["reach", "use"]


def test_a_connection_that_a_task_made_is_the_same_in_later_runs_and_counts_by_what_is_in_it():
    ran = []

    @task(ignore=["ran"])
    def connect():
        ran.append("connect")
        return sqlite3.connect(":memory:", check_same_thread=False)

    @task(ignore=["ran"])
    def count(connection):
        ran.append("count")
        return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]

    def run():
        ran.clear()
        with Flow("live", store="store") as flow:
            count(connect())
        return flow.run(check=True)

    with pytest.warns(UserWarning, match="connect: its result is a Connection, which nothing can store") as told:
        first = run()
    assert len(told) == 1
    assert (first["count"], ran) == (0, ["connect", "count"])
    again = run()
    assert again["connect"] is first["connect"]
    assert ran == []
    first["connect"].execute("CREATE TABLE t (n)")
    assert (run()["count"], ran) == (1, ["count"])


def test_after_a_restart_a_connection_is_made_again_and_what_used_it_is_reused(monkeypatch):
    ran = []

    @task(ignore=["ran"])
    def connect():
        ran.append("connect")
        return sqlite3.connect("file.db", check_same_thread=False)

    @task(ignore=["ran"])
    def count(connection):
        ran.append("count")
        return connection.execute("SELECT count(*) FROM t").fetchone()[0]

    def run():
        ran.clear()
        with Flow("live", store="store") as flow:
            count(connect())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flow.run(check=True)

    run()
    from nbflow.flow.workshop import store_at

    store_at("store").close()
    run()
    assert ran == ["connect"]


def test_credentials_are_no_part_of_what_a_connection_leads_to():
    engines = [sqlalchemy.create_engine("sqlite://"), sqlalchemy.create_engine("sqlite://")]
    # As if the driver of the server were installed.
    engines[0].url = sqlalchemy.make_url("postgresql://me:first@host/db")
    engines[1].url = sqlalchemy.make_url("postgresql://you:second@host/db")
    handles = [handle_of(engine) for engine in engines]
    assert handles[0] == handles[1]
    assert handles[0].id[1] == "postgresql://host/db"
    assert handle_of(httpx.Client(base_url="https://me:pw@host/api")).id[1] == "https://host/api/"


def test_an_open_file_has_no_identity_and_the_error_says_where_it_lies():
    ran = []
    with open("file.txt", "w") as stream:
        run = flow_of({"out": stream}, ran).run()
    error = run.error("use")
    assert isinstance(error, UnidentifiableError)
    assert 'handle["out"]' in str(error)
    assert ran == []


def test_a_search_for_handles_ends_in_values_that_hold_themselves():
    ring = []
    ring.append(ring)
    assert outside_handle(ring) is None
    assert outside_handle({"a": os}) is None
