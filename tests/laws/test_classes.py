"""Classes and functions of a notebook or script in other processes: they do there what they do at home."""

import subprocess
import sys
import textwrap

import pytest

from nbflow import task


@pytest.fixture
def script(tmp_path):
    """Runs the text of a script as `__main__` on an executor; gives what it printed."""

    def run(text, executor, *more):
        (tmp_path / "script.py").write_text(
            "import sys\nfrom nbflow import Flow, task, unmapped\n" + textwrap.dedent(text)
        )
        command = [sys.executable, "script.py", executor, *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_type_variable_breaks_nothing(script, executor):
    text = """
        import dataclasses, typing
        T = typing.TypeVar("T")
        @dataclasses.dataclass
        class Box(typing.Generic[T]):
            v: T
        @task
        def box(x):
            return Box(x)
        @task
        def plain(x):
            return x + 1
        if __name__ == "__main__":
            for each, expected in ((box, [Box(1), Box(2)]), (plain, [2, 3]), (box, [Box(1), Box(2)])):
                with Flow("box", store="store", executor=sys.argv[1]) as flow:
                    each.map([1, 2])
                assert flow.run(check=True)[each.name] == expected
    """
    script(text, executor)


SLOTS = """
    import dataclasses
    @dataclasses.dataclass(slots=True)
    class Data:
        a: int
    @dataclasses.dataclass(slots=True, frozen=True)
    class Frozen:
        a: int
    class Plain:
        __slots__ = ("__secret", "a")
        def __init__(self, a):
            self.a = self.__secret = a
        def __eq__(self, other):
            return isinstance(other, Plain) and (self.a, self.__secret) == (other.a, other.__secret)
    class More(Plain):
        __slots__ = ("b",)
    @task
    def data(x):
        return Data(x), Frozen(x), Plain(x), More(x)
    @task
    def next_of(all):
        return [type(each)(each.a + 1) for each in all] + [hasattr(each, "__dict__") for each in all]
    if __name__ == "__main__":
        with Flow("slots", store="store", executor=sys.argv[1]) as flow:
            next_of.map(data.map([1]))
        run = flow.run(check=True)
        assert run["data"] == [(Data(1), Frozen(1), Plain(1), More(1))]
        assert [type(each) for each in run["data"][0]] == [Data, Frozen, Plain, More]
        assert run["next_of"] == [[Data(2), Frozen(2), Plain(2), More(2), False, False, False, False]]
        print(run.frame("data")["state"].tolist(), run.frame("next_of")["state"].tolist())
"""


def test_classes_with_slots_travel_both_ways_and_are_the_same_after_a_restart(script, executor):
    assert script(SLOTS, executor) == "['success'] ['success']\n"
    assert script(SLOTS, "threads") == "['cached'] ['cached']\n"


CASES = {
    "classes that their base alone knows": """
        class Plugin:
            name = "none"
            @classmethod
            def all(cls):
                return [each for below in cls.__subclasses__() for each in (below.name, *below.all())]
        class Csv(Plugin):
            name = "csv"
        class Json(Plugin):
            name = "json"
        class Lines(Json):
            name = "lines"
        @task
        def case(x):
            return Plugin.all(), [cls.__name__ for cls in Plugin.__subclasses__()], Lines.__mro__[1].name
        expected = [(["csv", "json", "lines"], ["Csv", "Json"], "json")] * 2
    """,
    "a property that is computed once": """
        import functools
        class Square:
            def __init__(self, x):
                self.x = x
            @functools.cached_property
            def area(self):
                "How large."
                return self.x**2
        @task
        def case(x):
            square = Square(x)
            return square.area, square.area, list(vars(square)), Square.area.__doc__
        expected = [(1, 1, ["x", "area"], "How large."), (4, 4, ["x", "area"], "How large.")]
    """,
    "a function that goes by the type of its argument": """
        import functools
        class Mine(int):
            pass
        @functools.singledispatch
        def show(value):
            "Shows."
            return "any"
        @show.register
        def _(value: int):
            return "int"
        @show.register
        def _(value: Mine | float):
            return "mine"
        @show.register(list)
        def _(values):
            return [show(each) for each in values]
        class Shows:
            @functools.singledispatchmethod
            def show(self, value):
                return "any"
            @show.register
            def _(self, value: int):
                return "int"
        @task
        def case(x):
            mine = Shows()
            return show([x, Mine(x), 0.5, "a"]), show.__doc__, show.__name__, mine.show(x), mine.show("a"), show.dispatch(bool)(x)
        expected = 2 * [(["int", "mine", "mine", "any"], "Shows.", "show", "int", "any", "int")]
    """,
    "an Enum whose members have more": """
        import enum
        class Planet(enum.Enum):
            EARTH = (5, 6)
            MARS = (3, 4)
            HOME = EARTH
            def __init__(self, mass, radius):
                self.mass, self.radius = mass, radius
            @property
            def density(self):
                return self.mass / self.radius
        class Level(enum.IntEnum):
            LOW = (1, "low")
            HIGH = (2, "high")
            def __new__(cls, value, label):
                made = int.__new__(cls, value)
                made._value_, made.label = value, label
                return made
        @task
        def case(x, planet, level):
            return planet, planet.mass, planet is Planet.MARS, Planet.HOME.density, level.label, Level(x).label, Planet.HOME
        arguments = [Planet.MARS, Planet.HOME], [Level.LOW, Level.HIGH]
        expected = [
            (Planet.MARS, 3, True, 5 / 6, "low", "low", Planet.EARTH),
            (Planet.EARTH, 5, False, 5 / 6, "high", "high", Planet.EARTH),
        ]
    """,
    "globals that texts name": """
        import pandas as pd
        LIMIT, OTHER, K = 2, 1, "OTHER * 3"
        table = pd.DataFrame({"a": [1, 2, 3]})
        cannot = (each for each in "travel")
        def double(x):
            return x * 2
        class Asks:
            def over(self):
                return table.eval("a > @LIMIT").tolist()
        @task
        def case(x):
            found = table.query("a > @LIMIT").a.tolist(), table.eval("a + @LIMIT").tolist(), Asks().over()
            return *found, eval("double(x)"), eval(K), globals()["OTHER"]
        expected = [([3], [3, 4, 5], [False, False, True], 2 * x, 3, 1) for x in (1, 2)]
    """,
    "a text that is also the name of what cannot travel": """
        cannot = (each for each in "travel")
        texts = ["cannot", "x + 1"]
        @task(ignore=["cannot"])
        def case(x):
            return eval(texts[1])
        expected = [2, 3]
    """,
    "kinds of classes": """
        import abc, collections, typing
        import attrs, pydantic
        T = typing.TypeVar("T")
        class Named(typing.NamedTuple):
            a: int
            b: int = 2
            def sum(self):
                return self.a + self.b
        class GenericNamed(typing.NamedTuple, typing.Generic[T]):
            a: T
        class Pair(collections.namedtuple("Pair", "a b")):
            __slots__ = ()
        class Table(typing.TypedDict):
            a: int
        class HasA(typing.Protocol):
            __slots__ = ()
            a: int
        class Abstract(abc.ABC):
            __slots__ = {"a": "What it holds."}
            @property
            @abc.abstractmethod
            def z(self): ...
        class Concrete(Abstract, HasA):
            __slots__ = "b"
            def __init__(self, a):
                self.a = self.b = a
            z = property(lambda self: self.a)
            def __eq__(self, other):
                return type(self) is type(other) and (self.a, self.b) == (other.a, other.b)
        class WithDict:
            __slots__ = ("a", "__dict__", "__weakref__")
            def __init__(self, a):
                self.a, self.other = a, a
            def __eq__(self, other):
                return type(self) is type(other) and vars(self) == vars(other)
        @attrs.define
        class Defined:
            a: int
        @attrs.frozen
        class Frozen:
            a: int
        class Model(pydantic.BaseModel):
            a: int
            _b: int = pydantic.PrivateAttr(default=1)
            @pydantic.field_validator("a")
            @classmethod
            def check(cls, value):
                return abs(value)
        def make(x):
            kinds = Named, GenericNamed, Concrete, WithDict, Defined, Frozen
            return [Pair(x, 2), Table(a=x), Model(a=x), *(kind(x) for kind in kinds)]
        @task
        def case(x, given):
            return make(x) == given, Named(x).sum(), Concrete(x).z, given, make(x)
        arguments = [make(1), make(2)],
        expected = [(True, x + 2, x, make(x), make(x)) for x in (1, 2)]
    """,
    "what a method and a task do to one global": """
        SEEN, LEVEL = [], 0
        def level():
            return LEVEL
        class Item:
            def __init__(self, x):
                self.x = x
            def note(self):
                SEEN.append(self.x)
        class Raised:
            def __enter__(self):
                global LEVEL
                self.before, LEVEL = LEVEL, 1
            def __exit__(self, *_):
                global LEVEL
                LEVEL = self.before
        @task
        def case(x, item, raised):
            SEEN.clear()
            item.note()
            with raised:
                found = list(SEEN), level(), LEVEL
            return found, level()
        arguments = [Item(1), Item(2)], [Raised(), Raised()]
        expected = [(([x], 1, 1), 0) for x in (1, 2)]
    """,
    "arguments that hold functions": """
        import functools
        SEEN = []
        class Rule:
            def __init__(self, apply):
                self.apply = apply
            @functools.cached_property
            def doubled(self):
                return 2 * self.apply(1)
        class Found:
            def __init__(self, value):
                self.value = value
            def __eq__(self, other):
                return type(self) is type(other) and self.value == other.value
        @task
        def case(x, rule, note):
            SEEN.clear()
            note(x)
            return rule.doubled, list(SEEN), isinstance(rule, Rule), rule.apply(x), Found(x)
        arguments = [Rule(lambda x: x + 1), Rule(lambda x: x * 10)], 2 * [lambda x: SEEN.append(x)]
        expected = [(4, [1], True, 2, Found(1)), (20, [2], True, 20, Found(2))]
    """,
    "pickles of functions and what `__main__` holds": """
        import pickle
        import __main__
        K = 3
        def square(x):
            return x * x
        def cube(x):
            return x**3
        @task
        def case(x):
            import __main__ as main
            return pickle.loads(pickle.dumps(square))(x), pickle.loads(pickle.dumps(square)) is square, main.K, __main__.cube(x)
        expected = [(1, True, 3, 1), (4, True, 3, 8)]
    """,
    "pools of processes in a task": """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        def square(x):
            return x * x
        @task
        def case(x):
            # Dask's own workers may have no children, whoever asks.
            multiprocessing.current_process()._config["daemon"] = False
            with multiprocessing.Pool(1) as pool, ProcessPoolExecutor(1) as executor:
                return pool.map_async(square, [x]).get(30) + list(executor.map(square, [x + 1]))
        expected = [[1, 4], [4, 9]]
    """,
    "classes that know of their subclasses": """
        import typing
        class Base:
            subclasses = []
            def __init_subclass__(cls, *, key, **options):
                super().__init_subclass__(**options)
                cls.key = key
                Base.subclasses.append(cls.__name__)
        class First(Base, key="one"):
            pass
        T = typing.TypeVar("T")
        class Second(Base, typing.Generic[T], key="two"):
            pass
        @task
        def case(x):
            return First.key, list(Base.subclasses), Second.key, Second.__parameters__ == (T,), Second[int].__args__
        expected = 2 * [("one", ["First", "Second"], "two", True, (int,))]
    """,
    "names that types have": """
        import typing
        UserId = typing.NewType("UserId", int)
        P = typing.ParamSpec("P")
        Ts = typing.TypeVarTuple("Ts")
        class Call(typing.Generic[P]):
            pass
        @task
        def case(x, new):
            return UserId(x), new(x), new.__name__, P.__name__, Ts.__name__, Call[[int]].__args__ != (), P.__module__
        arguments = [UserId, UserId],
        expected = [(x, x, "UserId", "P", "Ts", True, "__main__") for x in (1, 2)]
    """,
}


RUN = """
with Flow("case", store=f"store-{number}", executor=sys.argv[1]) as flow:
    case.map([1, 2], *arguments)
found = flow.run(check=True)["case"]
assert found == expected, (number, found)
"""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_what_a_notebook_defines_does_there_what_it_does_at_home(script, case, executor):
    text = "number, arguments = 0, ()\n" + textwrap.dedent(CASES[case]) + "if __name__ == '__main__':\n"
    script(text + textwrap.indent(RUN, "    "), executor)


def test_what_a_notebook_defines_does_on_dask_what_it_does_at_home(script):
    # As cells of one notebook: to start workers takes longer than all of them.
    cells = [textwrap.dedent(text) + RUN for text in CASES.values()]
    text = f"""
        cells = {cells!r}
        if __name__ == "__main__":
            for number, cell in enumerate(cells):
                arguments = ()
                exec(compile(cell, f"<cell {{number}}>", "exec"), globals())
    """
    script(text, "dask")


def test_what_tasks_leave_in_a_namespace_is_not_there_in_another_run(script, executor):
    text = """
        COUNT = []
        class Counts:
            made = 0
            def __init__(self):
                Counts.made += 1
                COUNT.append(1)
        @task
        def count(x, kind):
            kind()
            return len(COUNT), Counts.made
        if __name__ == "__main__":
            for start in (0, 5):
                Counts.made = start
                COUNT[:] = [1] * start
                with Flow("count", store=f"store-{start}", executor=sys.argv[1]) as flow:
                    count.map([1], unmapped(Counts))
                assert flow.run(check=True)["count"] == [(start + 1, start + 1)]
    """
    script(text, executor)


def test_a_worker_does_not_keep_the_globals_of_all_runs(script):
    text = """
        import builtins, gc, os, weakref
        class Load:
            pass
        @task
        def alive(x):
            if not hasattr(builtins, "loads"):
                builtins.loads = weakref.WeakSet()
            builtins.loads.add(load)
            gc.collect()
            return os.getpid(), len(builtins.loads)
        if __name__ == "__main__":
            most = {}
            for number in range(60):
                load = Load()
                with Flow("alive", store="store", executor="processes") as flow:
                    alive(number)
                pid, count = flow.run(check=True)["alive"]
                most.setdefault(pid, []).append(count)
            print(max(map(len, most.values())), max(map(max, most.values())))
    """
    runs, alive = map(int, script(text, "processes").split())
    assert runs >= 30
    assert alive < 20


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's with a data file in it; gives its folder."""
    folder = tmp_path / "code" / "law_package"
    folder.mkdir(parents=True)
    (folder / "data.txt").write_text("one")
    (folder / "__init__.py").write_text(
        "import importlib.resources, pkgutil\n"
        + textwrap.dedent("""
        def by_pkgutil(name="data.txt"):
            return pkgutil.get_data("law_package", name).decode()
        def by_files(name="data.txt"):
            return importlib.resources.files("law_package").joinpath(name).read_text()
        def by_resources(name="data.txt"):
            with importlib.resources.files(__name__).joinpath(name).open() as stream:
                return stream.read() + ",".join(sorted(
                    each.name for each in importlib.resources.files(__name__).iterdir() if each.name.endswith("txt")
                ))
    """)
    )
    inside = folder.parent / "law_folder" / "inside"
    inside.mkdir(parents=True)
    (inside / "part.py").write_text("K = 1")
    (inside / "later.py").write_text("K = 2")
    (inside.parent / "data.txt").write_text("three")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder
    for name in [name for name in sys.modules if name.startswith(("law_package", "law_folder"))]:
        del sys.modules[name]


@pytest.mark.parametrize("way", ["by_pkgutil", "by_files", "by_resources"])
def test_data_files_of_a_local_package_are_found_and_tracked(flow_of, executor, package, way):
    import law_package

    read = getattr(law_package, way)
    with flow_of(executor) as flow:
        task(lambda name: read(name), name="missing").map(["nowhere.txt"])
        task(lambda: read(), name="read")()
    run = flow.run()
    assert run["read"].startswith("one")
    error = run.error("missing", 0)
    assert isinstance(error, FileNotFoundError)
    assert str(package / "nowhere.txt") in str(error)
    assert flow.run().frame("read")["state"].tolist() == ["cached"]
    (package / "data.txt").write_text("two")
    assert flow.run()["read"].startswith("two")


def test_data_files_of_a_local_folder_without_a_file_of_its_own_are_found(flow_of, executor, package):
    import law_folder.inside.part

    def read():
        import importlib.resources

        from law_folder.inside import later

        return (importlib.resources.files("law_folder") / "data.txt").read_text(), law_folder.inside.part.K, later.K

    with flow_of(executor) as flow:
        task(read)()
    assert flow.run()["read"] == ("three", 1, 2)


def test_an_argument_is_not_changed_by_what_its_methods_put_into_globals(script, away):
    text = """
        import warnings
        SEEN = []
        class Item:
            def __init__(self, x):
                self.x = x
            def note(self):
                SEEN.append(self.x)
        @task
        def own(item):
            item.note()
            return item.x
        @task
        def shared(x, item):
            SEEN.append(x)
            return item.x
        @task
        def changing(item):
            item.x += 1
            return item.x
        if __name__ == "__main__":
            with Flow("item", store="store", executor=sys.argv[1]) as flow:
                own.map([Item(1), Item(2)])
                shared.map([1, 2, 3], unmapped(Item(3)))
                changing.map([Item(1)])
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                run = flow.run(check=True)
            assert (run["own"], run["shared"], run["changing"]) == ([1, 2], [3, 3, 3], [2])
            print([str(each.message).partition(".")[0] for each in told if "in place" in str(each.message)])
    """
    assert script(text, away) == "[\"task 'changing' changed its argument 'item' (Item) in place\"]\n"


def test_a_global_that_changes_in_the_middle_of_a_run_is_for_later_tasks_what_it_is_then(script, executor):
    text = """
        K = 5
        def helper():
            return K
        @task
        def before():
            return helper()
        @task(executor="sync", cache=False, ignore=["K"])
        def change(_):
            global K
            K = 6
        @task
        def after(_):
            return helper() + 10
        if __name__ == "__main__":
            with Flow("middle", store="store", executor=sys.argv[1]) as flow:
                after(change(before()))
            run = flow.run(check=True)
            print(run["before"], run["after"])
    """
    assert script(text, executor) == "5 16\n"


def test_a_cached_partial_travels(script, executor):
    text = """
        import functools
        def add(a, b):
            return a + b
        plus_one = functools.lru_cache(functools.partial(add, 1))
        @task
        def use(x):
            return plus_one(x)
        if __name__ == "__main__":
            with Flow("partial", store="store", executor=sys.argv[1]) as flow:
                use.map([1, 2])
            print(flow.run(check=True)["use"])
    """
    assert script(text, executor) == "[2, 3]\n"


def test_a_module_of_the_users_finds_the_classes_that_the_notebook_made_below_its_own(flow_of, executor, local_module):
    local_module(
        "law_plugins", "class Base:\n    @classmethod\n    def all(cls):\n        return cls.__subclasses__()\n"
    )
    import law_plugins

    class Csv(law_plugins.Base):
        pass

    # As those of a notebook do, it travels by content.
    Csv.__module__ = "__main__"
    with flow_of(executor) as flow:
        task(lambda x: [cls.__name__ for cls in law_plugins.Base.all()], name="names", cache=False).map([1])
    assert flow.run()["names"] == [["Csv"]]
