"""Connecting to what is no Dask scheduler, or none yet: what is told of it, and that it can be ended."""

import signal
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import dask
import pytest

from nbflow import DaskExecutor, Flow, State, task
from nbflow.errors import ClusterError, NbflowWarning
from nbflow.executors import connecting

ANSWERS = {
    "nothing": lambda peer: None,
    "http": lambda peer: peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nabc"),
    "ssh": lambda peer: peer.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    "zeros": lambda peer: peer.sendall(bytes(1000)),
}


@contextmanager
def listening(answer):
    """The address of a server that answers so to whoever connects, and keeps the connection."""
    peers = []

    def serve():
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            peers.append(peer)
            answer(peer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    for peer in peers:
        peer.close()


def flow_at(address, store, **options):
    with Flow("at", store=store, executor=DaskExecutor(address)) as flow:
        task(lambda: 1, name="one", **options)()
    return flow


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_is_no_scheduler_is_told_and_not_waited_for(kind, tmp_path):
    before = threading.active_count()
    with dask.config.set({"distributed.comm.timeouts.connect": "500ms"}), listening(ANSWERS[kind]) as address:
        with pytest.raises(
            ClusterError, match=f"{address} .*does not answer as a Dask scheduler does; is it the sched"
        ):
            flow_at(address, tmp_path).run()
        assert not any(thread.name in {"IO loop", "nbflow-connect"} for thread in threading.enumerate()), before


def test_a_web_server_is_told_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(BaseHTTPRequestHandler, "log_message", lambda *args: None)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.server_address[1]}"
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "500ms"}),
            pytest.raises(ClusterError, match="does not answer as a Dask scheduler does"),
        ):
            flow_at(address, tmp_path).run()
        server.shutdown()


def test_what_closes_the_connection_is_told(tmp_path):
    with (
        listening(lambda peer: peer.close()) as address,
        pytest.raises(ClusterError, match=f"{address} cannot be reached: what listens there closed the connection"),
    ):
        flow_at(address, tmp_path).run()


@pytest.mark.parametrize("options", [{}, {"resources": {"GPU": 1}}])
def test_what_takes_long_to_connect_is_told_once_where_the_run_tells_such_things(tmp_path, monkeypatch, options):
    monkeypatch.setattr(connecting, "_LATE_S", 0.05)
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), listening(ANSWERS["nothing"]) as address:
        flow = flow_at(address, tmp_path, **options)
        told = []
        flow.tell = told.append
        with pytest.raises(ClusterError):
            flow.run()
        assert told == [f"connecting to {address} …"]
        flow = flow_at(address, tmp_path, **options)
        with pytest.warns(NbflowWarning, match=f"connecting to {address}"), pytest.raises(ClusterError):
            flow.run()


def test_an_interrupt_is_obeyed_while_it_connects(tmp_path, monkeypatch):
    connected = threading.Event()

    def interrupts(peer):
        connected.set()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with dask.config.set({"distributed.comm.timeouts.connect": "2s"}), listening(interrupts) as address:
        flow = flow_at(address, tmp_path)
        told = []
        flow.tell = told.append
        with pytest.raises(KeyboardInterrupt):
            flow.run()
        assert connected.is_set()
        assert told == ["at: interrupted; 0 finished results are kept, the next run goes on from there"]
        # It goes on beside, until Dask gives it up.
        [left] = [thread for thread in threading.enumerate() if thread.name == "nbflow-connect"]
        left.join(30)
    assert not any(thread.name == "IO loop" for thread in threading.enumerate())


def test_a_run_in_the_background_can_be_cancelled_while_it_connects(tmp_path):
    with dask.config.set({"distributed.comm.timeouts.connect": "2s"}), listening(ANSWERS["nothing"]) as address:
        flow = flow_at(address, tmp_path)
        told = []
        flow.tell = told.append
        handle = flow.start()
        until = time.monotonic() + 30
        while not (left := [thread for thread in threading.enumerate() if thread.name == "nbflow-connect"]):
            assert time.monotonic() < until
            time.sleep(0.01)
        handle.cancel()
        assert handle.wait(30).overall is State.CANCELLED
        assert left[0].is_alive()
        assert told == ["at: cancelled; 0 finished results are kept, the next run goes on from there"]
        left[0].join(30)


def test_tls_without_certificates_says_how_to_give_them_at_once(tmp_path):
    with pytest.raises(ClusterError, match=r"give it security=; make one with distributed\.security\.Security\(tls_ca"):
        flow_at("tls://127.0.0.1:9", tmp_path).run()


def test_the_certificates_may_come_from_dasks_own_settings(tmp_path):
    from distributed.security import Security

    made = Security.temporary()
    paths = {}
    for setting, name in {
        "ca-file": "tls_ca_file",
        "client.cert": "tls_client_cert",
        "client.key": "tls_client_key",
    }.items():
        path = tmp_path / name
        path.write_text(getattr(made, name))
        paths[f"distributed.comm.tls.{setting}"] = str(path)
    settings = {**paths, "distributed.comm.timeouts.connect": "500ms"}
    with dask.config.set(settings), pytest.raises(ClusterError, match="Timed out trying to connect"):
        flow_at("tls://127.0.0.1:9", tmp_path).run()


def test_a_scheduler_that_does_not_speak_tls_is_told(tmp_path):
    from distributed import LocalCluster
    from distributed.security import Security

    with LocalCluster(
        n_workers=0, processes=False, dashboard_address="127.0.0.1:0", host="127.0.0.1", protocol="tcp"
    ) as local:
        secure = DaskExecutor(local.scheduler_address.replace("tcp://", "tls://"), security=Security.temporary())
        with Flow("at", store=tmp_path, executor=secure) as flow:
            task(lambda: 1, name="one")()
        with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(ClusterError) as refused:
            flow.run()
    assert "not speak TLS" in str(refused.value)
    assert "write tcp:// and leave security= out" in str(refused.value)
