"""%flow params and Flow.form: widgets by annotation and value, and what the Run button does."""

import datetime as dt
import enum
from typing import Literal

import ipywidgets as w
import pytest

from nbflow import Flow, Parameter, task
from nbflow.errors import ParameterError
from nbflow.flow.fields import field_of
from tests.notebook.test_session import notebook
from tests.notebook.test_session import task as cell

__all__ = ["notebook"]


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


WIDGETS = {
    "int": (5, None, w.IntText),
    "int 0": (0, None, w.IntText),
    "negative int": (-3, None, w.IntText),
    "large int": (1_000_000, None, w.IntText),
    "float": (2.5, None, w.FloatText),
    "share": (0.5, None, w.FloatText),
    "tiny float": (1e-9, None, w.FloatText),
    "infinite": (float("inf"), None, w.FloatText),
    "bool": (True, None, w.Checkbox),
    "text": ("abc", None, w.Text),
    "Literal": ("b", Literal["a", "b"], w.Dropdown),
    "Enum": (Colour.RED, None, w.Dropdown),
    "Enum by annotation": (..., Colour, w.Dropdown),
    "value outside of Literal": ("c", Literal["a", "b"], w.Text),
    "date": (dt.date(2024, 5, 1), None, w.DatePicker),
    "datetime": (dt.datetime(2024, 5, 1, 12), None, w.NaiveDatetimePicker),
    "list": ([1, 2], None, w.Text),
    "None": (None, None, w.Text),
    "needed text": (..., str, w.Text),
    "needed number": (..., int, w.Text),
    "needed bool": (..., bool, w.Checkbox),
}


@pytest.mark.parametrize("case", WIDGETS)
def test_the_widget_fits_the_value_and_gives_it_back(case):
    value, annotation, widget = WIDGETS[case]
    with Flow("asked") as flow:
        parameter = Parameter("x", default=value) if value is not ... else Parameter("x")

        def use(x):
            return x

        use.__annotations__ = {} if annotation is None else {"x": annotation}
        task(use)(parameter)
    form = flow.form()
    assert type(form.widgets["x"]) is widget
    if value is not ...:
        assert form.values() == {"x": value}
        assert type(form.values()["x"]) is type(value)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [(5, 0, 20), (0, 0, 10), (-3, -12, 12), (0.3, 0.0, 1.0), (2.5, 0.0, 10.0), (5000, None, None)],
)
def test_a_slider_has_room_around_its_value(value, low, high):
    field = field_of("n", value)
    assert (field.low, field.high) == (low, high)


@pytest.fixture
def flow(tmp_path):
    @task
    def scaled(n, how: Literal["twice", "thrice"], extra):
        return n * {"twice": 2, "thrice": 3}[how] + sum(extra)

    with Flow("scaling", store=tmp_path / "store") as made:
        scaled(
            Parameter("n", default=5, help="how many"),
            Parameter("how", default="twice"),
            Parameter("extra", default=[1]),
        )
    return made


def test_the_button_runs_the_flow_with_what_is_set(flow):
    form = flow.form()
    form.widgets["n"].value = 7
    form.widgets["how"].value = "thrice"
    form.widgets["extra"].value = "[10, 20]"
    form.button.click()
    assert form.last_run["scaled"] == 51
    assert form.last_run.parameters == {"n": 7, "how": "thrice", "extra": [10, 20]}
    assert (form.button.disabled, form.button.description) == (False, "Run")


def test_it_begins_with_given_values(flow):
    assert flow.form(n=9).values()["n"] == 9
    with pytest.raises(ParameterError, match="no parameter 'm'"):
        flow.form(m=1)


def test_a_text_that_is_no_value_is_told(flow):
    form = flow.form()
    form.widgets["extra"].value = "[1,"
    with pytest.raises(ParameterError, match=r"extra = \[1,: this is no value as Python writes it"):
        form.values()


@pytest.mark.parametrize("value", [100, -3])
def test_a_number_beyond_the_slider_moves_its_end(flow, value):
    form = flow.form()
    number, slider = form.box.children[0].children
    number.value = value
    assert (form.values()["n"], slider.value) == (value, value)
    assert slider.min <= value <= slider.max
    slider.value = 4
    assert form.values()["n"] == 4


def test_labels_stand_in_a_column(flow):
    assert {each.style.description_width for each in flow.form().widgets.values()} == {"6ch"}


def test_as_text_it_is_a_table(flow):
    assert repr(flow.form()).splitlines() == [
        "parameters of scaling",
        "  name   value    takes",
        "  n      5        int                   how many",
        "  how    'twice'  twice, thrice",
        "  extra  [1]      a value as in Python",
    ]


def test_secrets_are_dots():
    with Flow("secret") as made:
        task(lambda x: x)(Parameter("api_token", default="abcd1234"))
    form = made.form()
    assert type(form.widgets["api_token"]) is w.Password
    assert "abcd1234" not in repr(form)


# In a notebook


@pytest.fixture
def book(notebook):
    notebook("from typing import Literal\nfrom nbflow import Parameter")
    notebook("n = 5\nhow: Literal['twice', 'thrice'] = 'twice'\nunused = 3\nshare = Parameter('share', default=0.5)")
    notebook(cell("a", "n * {'twice': 2, 'thrice': 3}[how]"))
    notebook(cell("b", "a * share"))
    return notebook


def test_the_form_has_what_tasks_read(book):
    form = book("%flow params").value
    assert {name: type(each) for name, each in form.widgets.items()} == {
        "n": w.IntText,
        "how": w.Dropdown,
        "share": w.FloatText,
    }


def test_the_form_sets_variables_and_runs_what_depends_on_them(book):
    form = book("%flow params").value
    form.widgets["n"].value = 10
    form.widgets["how"].value = "thrice"
    form.button.click()
    assert form.last_run["b"] == 15.0
    assert book("n, how, b").value == (10, "thrice", 15.0)
    assert book("b").ran == []
    form.widgets["share"].value = 1.0
    form.button.click()
    assert form.last_run["b"] == 30.0
    assert book("b").value == 30.0


def test_values_are_set_on_the_line(book):
    shown = book("%flow params n=8 how=thrice share=0.25")
    assert shown.text.splitlines()[:3] == ["n: 5 → 8", "how: 'twice' → 'thrice'", "share: 0.5 → 0.25"]
    assert shown.ran == []
    assert book("b").value == 6.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%flow params m=1", "no task has a parameter 'm'; there are 'how', 'n', 'share'"),
        ("%flow params unused=1", "no task has a parameter 'unused'"),
        ("%flow params n", "takes values of parameters, such as `%flow params n=5`, not 'n'"),
        ("%flow params n=five", "n = five: this is no value as Python writes it"),
        ("%flow params --run", "has no option '--run'"),
    ],
)
def test_wrong_values_are_told(book, line, message):
    assert message in book(line).text
    assert book("n").value == 5


def test_without_parameters_it_says_how_to_make_one(notebook):
    shown = notebook("%flow params")
    assert shown.value is None
    assert "no task reads a parameter" in shown.text
