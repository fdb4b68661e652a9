"""What `DaskExecutor(…)` takes: told when it is made, and not when a run is waiting for it."""

import subprocess
import sys
import textwrap

import pytest

from nbflow import DaskExecutor
from nbflow.errors import GraphError

EXAMPLE = 'DaskExecutor("tcp://10.0.0.5:8786")'


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("localhost", 'the port is missing; write it as DaskExecutor("tcp://localhost:8786")'),
        ("127.0.0.1", 'the port is missing; write it as DaskExecutor("tcp://127.0.0.1:8786")'),
        ("tls://far", 'the port is missing; write it as DaskExecutor("tls://far:8786")'),
        ("127.0.0.1:8786x", f"'8786x' is no port; write an address as {EXAMPLE}"),
        ("127.0.0.1:0", f"'0' is no port; write an address as {EXAMPLE}"),
        ("127.0.0.1:99999", f"'99999' is no port; write an address as {EXAMPLE}"),
        ("my scheduler:8786", f"this is no address of a scheduler; write one as {EXAMPLE}"),
        ("", f"this is no address of a scheduler; write one as {EXAMPLE}"),
        ("http://127.0.0.1:8787", f"may be its dashboard, which has another port; write its own address, as {EXAMPLE}"),
        ("https://far/status", "is not reached by https"),
        ("dask", 'executor="dask" is written without DaskExecutor'),
        ("processes", 'executor="processes" is written without DaskExecutor'),
        ("threads", 'executor="threads" is written without DaskExecutor'),
        (8786, 'a port alone is no address; write it as DaskExecutor("tcp://127.0.0.1:8786")'),
        (["tcp://127.0.0.1:8786"], f"one scheduler is meant, as {EXAMPLE}"),
        ({"address": "tcp://127.0.0.1:8786"}, f"of type dict; it takes an address, as {EXAMPLE}"),
        (object(), "a distributed.Client, or a cluster object of Dask's"),
    ],
)
def test_what_can_be_no_cluster_is_refused_at_once_with_the_right_form(where, says):
    with pytest.raises(GraphError) as refused:
        DaskExecutor(where)
    assert str(refused.value).startswith("DaskExecutor(")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "where",
    [
        *(
            "tcp://10.0.0.5:8786",
            "10.0.0.5:8786",
            "far.example.org:1",
            "tls://far:8786",
            "[::1]:8786",
            "tcp://[::1]:8786",
        ),
        *(
            "ucx://far:8786",
            "ws://far/proxy",
            "wss://far:443/dask",
            "gateway://far:8786/name",
            "inproc://127.0.0.1/1/1",
        ),
    ],
)
def test_addresses_of_all_kinds_that_dask_and_its_plugins_know_are_taken(where):
    assert repr(DaskExecutor(where)) == f"DaskExecutor({where!r})"


def test_the_end_of_a_line_behind_an_address_that_was_read_from_a_file_does_not_matter():
    assert repr(DaskExecutor("tcp://10.0.0.5:8786\n")) == "DaskExecutor('tcp://10.0.0.5:8786')"


def test_dask_is_not_imported_to_refuse_an_address():
    code = """
        import sys
        from nbflow import DaskExecutor
        from nbflow.errors import GraphError
        try:
            DaskExecutor("localhost")
        except GraphError:
            print([name for name in sys.modules if name.partition(".")[0] in {"dask", "distributed"}])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_a_class_of_clusters_is_no_cluster():
    from distributed import LocalCluster

    with pytest.raises(GraphError, match=r"make a cluster of it first: DaskExecutor\(LocalCluster\(…\)\)"):
        DaskExecutor(LocalCluster)
