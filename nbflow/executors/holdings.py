"""What modules hold in the kernel under the names that a run's code reads, as its orders carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import NotSendable
from nbflow.executors.content import packed_code
from nbflow.executors.order import Held, Packed, Patched
from nbflow.executors.overlay import held_values, names_in_modules
from nbflow.executors.patches import patches
from nbflow.executors.values import packed_held

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.executors.nodes import Numbers


class Holdings:
    """Grows with the code that a run sends. patched: what of it lies in installed modules."""

    def __init__(self, numbers: Numbers) -> None:
        self.patched: Patched | None = None
        self._numbers = numbers
        self._read: set[str] = set()
        self._values: dict[str, dict[str, Any]] = {}
        self._patches: dict[str, dict[str, Any]] = {}

    def grown(self, read: set[str], where: str) -> Held | None:
        """What the user's modules hold, for code that reads these names, too; None where that is what it was.

        What a task changed in place meanwhile was of this run's making. where: names the task for an error. Raises
        NotSendable, and then knows no more than before.
        """
        self._look_for_patches(read | names_in_modules(), where)
        values = held_values(self._read)
        if _are_alike(values, self._values):
            return None
        held = Held({name: packed_held(each, self._numbers) for name, each in values.items()})
        self._values = values
        return held

    def _look_for_patches(self, read: set[str], where: str) -> None:
        """Looks under names that were not read before; what is put there reads names of its own."""
        known, news = set(self._read), read - self._read
        found = {module: dict(some) for module, some in self._patches.items()}
        packed = dict(self.patched.modules) if self.patched is not None else {}
        while news:
            known |= news
            more: set[str] = set()
            for module, some in patches(news).items():
                of_module = found.setdefault(module, {})
                of_module.update(some)
                packed[module] = self._pack(module, of_module, more, where)
            news = more - known
        self._read, self._patches = known, found
        if packed and (self.patched is None or self.patched.modules != packed):
            self.patched = Patched(self._numbers.run, packed)

    def _pack(self, module: str, values: Mapping[str, Any], read: set[str], where: str) -> Packed:
        try:
            return packed_code(values, self._numbers, read)
        # What the user's own __reduce__ raises is any exception.
        except Exception as error:
            names = ", ".join(f"{module}.{path}" for path in values)
            raise NotSendable(
                f"{where} uses {names}, which was replaced in this process, and cannot be sent to a worker process: "
                f'{error}; put that into a function of your own, or give the task executor="threads"'
            ) from error


def _are_alike(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    return some.keys() == others.keys() and all(map(_are_same, some.values(), others.values()))


def _are_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(one[name] is other[name] for name in one)
