"""The meanings of functions' code: what is compiled once stays compiled, from plan to plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.identity.bytecode import Meaning, meaning_of
from nbflow.identity.normal import Normalizer
from nbflow.lean import dataclass

if TYPE_CHECKING:
    import types

    from nbflow.identity.normal import Trees


class Meanings:
    """Gives the meaning of a function's code, in normal form where its source tells it."""

    def __init__(self, sources: Trees) -> None:
        self._normalizer = _NORMALIZERS.setdefault(id(sources), Normalizer(sources))

    def of(self, fn: types.FunctionType) -> Meaning:
        known = _MEANINGS.get(id(fn.__code__))
        if known is not None and known.code is fn.__code__ and known.normal:
            # Also when its file was edited meanwhile: what is in memory runs.
            return known.meaning
        code = self._normalizer.normal(fn.__code__)
        if known is None or known.code is not fn.__code__ or code is not fn.__code__:
            known = _Known(fn.__code__, meaning_of(code), code is not fn.__code__)
            if len(_MEANINGS) >= _MOST:
                # A worker gets its functions anew in each run.
                _MEANINGS.clear()
            _MEANINGS[id(fn.__code__)] = known
        return known.meaning


@dataclass(frozen=True, slots=True)
class _Known:
    """The meaning of a code object. normal: whether it comes from the source, so that layout makes no difference."""

    code: types.CodeType
    meaning: Meaning
    normal: bool


_MOST = 10_000
_MEANINGS: dict[int, _Known] = {}
# The sources are one a process.
_NORMALIZERS: dict[int, Normalizer] = {}
