"""How settings of libraries are read and set; called only where the library is imported. Reading costs microseconds."""

from __future__ import annotations

import functools
import logging
import operator
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def timezone() -> str | None:
    return os.environ.get("TZ")


def logger_levels() -> dict[str, int]:
    """The levels that were set, but for those of what carries nbflow's own messages."""
    # With hundreds of them, a test of each takes its time.
    kept = [each for each in list(logging.Logger.manager.loggerDict.values()) if not isinstance(each, _NO_LOGGER)]
    return {each.name: each.level for each in kept if each.level and not _is_own(each.name)}


class Loggers:
    """The levels of loggers in a worker: as the kernel has them, else as they were."""

    def __init__(self) -> None:
        self._first: dict[str, int] | None = None

    def put(self, levels: Mapping[str, int]) -> None:
        present = logger_levels()
        if self._first is None:
            self._first = present
        wanted = {**dict.fromkeys(present, logging.NOTSET), **self._first, **levels}
        for name, level in wanted.items():
            if level != present.get(name, logging.NOTSET):
                logging.getLogger(name).setLevel(level)


def locale_now() -> str:
    import locale

    return locale.setlocale(locale.LC_ALL)


def put_locale(name: str) -> None:
    import locale

    if name != locale.setlocale(locale.LC_ALL):
        locale.setlocale(locale.LC_ALL, name)


def socket_timeout() -> float | None:
    timeout_s: float | None = sys.modules["socket"].getdefaulttimeout()
    return timeout_s


def put_socket_timeout(timeout_s: float | None) -> None:
    sys.modules["socket"].setdefaulttimeout(timeout_s)


def start_method() -> str | None:
    """How processes are started; None where nobody has chosen."""
    method: str | None = sys.modules["multiprocessing"].get_start_method(allow_none=True)
    return method


def put_start_method(method: str | None) -> None:
    if method != start_method():
        sys.modules["multiprocessing"].set_start_method(method, force=True)


def csv_field() -> int:
    size: int = sys.modules["csv"].field_size_limit()
    return size


def put_csv_field(size: int) -> None:
    sys.modules["csv"].field_size_limit(size)


def csv_dialects() -> dict[str, dict[str, Any]]:
    """By name, what makes each of the dialects: they themselves do not travel."""
    csv = sys.modules["csv"]
    return {name: {key: getattr(csv.get_dialect(name), key) for key in _DIALECT} for name in csv.list_dialects()}


def put_csv_dialects(dialects: Mapping[str, dict[str, Any]]) -> None:
    csv = sys.modules["csv"]
    present = csv_dialects()
    # Others came with what was imported here.
    for name in (_PUT_DIALECTS & present.keys()) - dialects.keys():
        csv.unregister_dialect(name)
    for name, dialect in dialects.items():
        if dialect != present.get(name):
            csv.register_dialect(name, **dialect)
            _PUT_DIALECTS.add(name)


def decimal_context() -> tuple[Any, ...]:
    """All but the flags, which calculations set."""
    import decimal

    now = decimal.getcontext()
    traps = tuple(signal for signal, on in now.traps.items() if on)
    return now.prec, now.rounding, now.Emin, now.Emax, now.capitals, now.clamp, traps


def put_decimal(state: tuple[Any, ...]) -> None:
    import decimal

    prec, rounding, least, most, capitals, clamp, traps = state
    decimal.setcontext(decimal.Context(prec, rounding, least, most, capitals, clamp, [], list(traps)))


def numpy_errors() -> dict[str, Any]:
    return dict(sys.modules["numpy"].geterr())


def put_numpy_errors(state: Mapping[str, Any]) -> None:
    sys.modules["numpy"].seterr(**state)


def numpy_print() -> dict[str, Any]:
    return dict(sys.modules["numpy"].get_printoptions())


def put_numpy_print(state: Mapping[str, Any]) -> None:
    if state != numpy_print():
        sys.modules["numpy"].set_printoptions(**state)


def pandas_options() -> dict[str, Any]:
    """The options that are not as pandas has them at first, and what that makes of the place it is imported in."""
    return {
        name: owner[key]
        for name, (owner, key, first) in _pandas_places().items()
        if not same(owner[key], first) or name in _OF_PLACE
    }


def put_pandas_options(options: Mapping[str, Any]) -> None:
    pandas = sys.modules["pandas"]
    wanted = {name: options.get(name, first) for name, (_, _, first) in _pandas_places().items()}
    changed = {
        name: wanted[name] for name, (owner, key, _) in _pandas_places().items() if not same(owner[key], wanted[name])
    }
    if changed:
        with warnings.catch_warnings():
            # Some are on their way out.
            warnings.simplefilter("ignore")
            for name, value in changed.items():
                pandas.set_option(name, value)


class RcParams:
    """What differs from matplotlib's own, whatever made it so; looked for anew only where something has changed."""

    def __init__(self) -> None:
        self._seen: dict[str, Any] = {}
        self._differing: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        matplotlib = sys.modules["matplotlib"]
        # Without its own way to give values, which checks each and may choose a backend.
        now = dict(dict.items(matplotlib.rcParams))
        if not same(now, self._seen):
            first = dict(dict.items(matplotlib.rcParamsDefault))
            # A copy: some of it can be changed in place.
            self._seen = {name: _own(value) for name, value in now.items()}
            self._differing = {
                name: value
                for name, value in self._seen.items()
                if name not in _OF_SCREEN and not same(value, first.get(name))
            }
        return self._differing


def put_rc_params(state: Mapping[str, Any]) -> None:
    matplotlib = sys.modules["matplotlib"]
    wanted = {**dict(dict.items(matplotlib.rcParamsDefault)), **state}
    dict.update(matplotlib.rcParams, {name: _own(value) for name, value in wanted.items() if name not in _OF_SCREEN})


def _pandas_places() -> dict[str, tuple[dict[str, Any], str, Any]]:
    """By name of an option: the dict that it is in, its key there, and what it is at first."""
    config = sys.modules["pandas._config.config"]
    registered = config._registered_options
    # Some modules of pandas bring options of their own.
    if len(_PLACES) != len(registered):
        for name, option in registered.items():
            *outer, key = name.split(".")
            _PLACES[name] = (functools.reduce(operator.getitem, outer, config._global_config), key, option.defval)
    return _PLACES


def same(one: Any, other: Any) -> bool:
    """Whether two settings are equal; those that cannot be compared, as cycles of arrays, are not."""
    try:
        return one is other or bool(one == other)
    # It is the user's own objects that are compared.
    except Exception:  # noqa: BLE001 (this is what is asked)
        return False


def _own(value: Any) -> Any:
    return list(value) if type(value) is list else value


def _is_own(logger: str) -> bool:
    return logger.partition(".")[0] in _OWN_LOGGERS


LOGGERS = Loggers()
RC_PARAMS = RcParams()
_NO_LOGGER = logging.PlaceHolder
_PUT_DIALECTS: set[str] = set()
_DIALECT = (
    *("delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting", "skipinitialspace", "strict"),
)
_PLACES: dict[str, tuple[dict[str, Any], str, Any]] = {}
_OWN_LOGGERS = frozenset({"distributed", "tornado"})
# pandas asks for the terminal when it is imported.
_OF_PLACE = frozenset({"display.max_columns"})
_OF_SCREEN = frozenset({"backend", "backend_fallback", "interactive"})
