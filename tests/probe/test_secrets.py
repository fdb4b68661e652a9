"""Secrets: shown as dots."""

from types import SimpleNamespace

import pytest

from nbflow.errors import UnknownName
from nbflow.probe.secrets import DOTS, is_secret_name, note_secret, note_secrets, redact, secret, short_text
from nbflow.results.spread import result_columns


@pytest.mark.parametrize(
    "name", ["token", "API_TOKEN", "db_password", "passwd", "client_secret", "apikey", "api_key", "credentials"]
)
def test_names_of_secrets(name):
    assert is_secret_name(name)
    assert short_text("hunter2", name) == DOTS


@pytest.mark.parametrize("name", ["path", "key", "pass_rate", "n"])
def test_names_of_no_secrets(name):
    assert short_text("a plain text", name) == "'a plain text'"


@pytest.mark.parametrize(
    "text",
    ['password = "hunter2"', "token='hunter2'", 'connect(api_key="hunter2")', '{"db_password": "hunter2"}', "client_secret: str = 'hunter2'", "token = f'hunter2'",
     '{"X-API-Key": "hunter2"}', 'pwd = "hunter2"', 'auth = ("bob", "hunter2")', 'passphrase = """hunter2"""',
     'passwd = ("x" "hunter2")', 'password = "x" "hunter2"', '{"credentials": {"user": "bob", "inner": "hunter2"}}'],
)  # fmt: skip
def test_literals_given_to_such_names_are_taken_out_of_source(text):
    assert "hunter2" not in redact(text)
    assert DOTS in redact(text)


@pytest.mark.parametrize(
    "text", ['author = "Ann"', 'f(api_key="hunter2", b="stays")', '{"auth": {"user": "x"}, "b": "stays"}']
)
def test_what_stands_beside_a_secret_stays(text):
    assert "Ann" in redact(text) or "stays" in redact(text)
    assert '"user"' in redact(text) or "user" not in text, "the names of parts are no secrets"


def test_other_source_stays_as_it_is():
    text = "def f(path, tokens=3):\n    return open(path), 'password'"
    assert redact(text) == text


def test_a_secret_is_a_text_that_is_shown_as_dots_everywhere(monkeypatch):
    monkeypatch.setenv("MY_SECRET", "hunter2")
    value = secret("MY_SECRET")
    assert value == "hunter2"
    assert "hunter2" not in repr([value])
    assert redact("it was hunter2") == f"it was {DOTS}"
    with pytest.raises(UnknownName, match="NOT_SET"):
        secret("NOT_SET")


def test_a_repr_that_fails_is_told_by_the_type():
    class Broken:
        def __repr__(self):
            raise RuntimeError

    assert "Broken" in short_text(Broken())


def test_large_values_are_summed_up():
    import numpy as np

    assert short_text(np.zeros((3, 4))) == "ndarray 3 × 4"
    assert len(short_text("x" * 10_000)) <= 120


def test_dicts_keep_their_order_and_numbers_are_numbers():
    import numpy as np

    value = {"z": np.float64(1.5), "a": [np.float32(0.1), np.bool_(True)], "n": np.int64(3)}
    assert short_text(value) == "{'z': 1.5, 'a': [0.1, True], 'n': 3}"
    assert short_text({number: 0 for number in range(9)}) == "{0: 0, 1: 0, 2: 0, 3: 0, ...}"


def test_a_secret_that_begins_like_another_is_taken_out_whole():
    note_secret("planted")
    note_secret("planted-longer")
    assert redact("it is planted-longer") == f"it is {DOTS}"


def test_what_lies_under_the_name_of_a_secret_is_dots_wherever_it_is_shown():
    note_secrets({"conf": SimpleNamespace(token="field-of-an-object", host="plain-host")})
    note_secrets({"credentials": {"user": "b", "inner": ["nested-below-it"]}})
    assert redact("field-of-an-object nested-below-it plain-host") == f"{DOTS} {DOTS} plain-host"


def test_a_column_of_secrets_is_dots():
    columns = result_columns([{"token": "hidden-in-result", "n": 1}], [True])
    assert columns == {"token": [DOTS], "n": [1]}
