"""Displays of tasks in IPython: told apart by context, shown again, and figures at the end of each call."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from nbflow.notebook.places import output_cleared
from nbflow.probe.capture import aside, current
from nbflow.probe.pieces import NOTE, Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The shells that have loaded nbflow.
SHELLS: list[Any] = []


class ShellFront:
    """The front end of an IPython shell, as `probe.routing.Front` tells."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    @property
    def coloured(self) -> bool:
        return self._shell.colors.lower() != "nocolor" and not os.environ.get("NO_COLOR")

    def route(self) -> Callable[[], None]:
        publisher = self._shell.display_pub
        publish, clear_output = publisher.publish, publisher.clear_output

        def routed_publish(
            data: Mapping[str, Any],
            metadata: Mapping[str, Any] | None = None,
            source: Any = None,
            *,
            transient: Mapping[str, Any] | None = None,
            update: bool = False,
            **others: Any,
        ) -> None:
            capture = current()
            shows = True
            if capture is not None:
                display_id = (transient or {}).get("display_id")
                if update:
                    shows = display_id is None or capture.update(data, metadata or {}, display_id)
                else:
                    shows = capture.display(data, metadata or {}, display_id)
            if shows:
                with aside(None if capture is None else capture.outer):
                    publish(data, metadata, transient=transient, update=update, **others)

        def routed_clear(wait: bool = False) -> None:
            capture = current()
            if capture is None or capture.clear(wait=wait):
                with aside(None if capture is None else capture.outer):
                    clear_output(wait)
                output_cleared()

        publisher.publish, publisher.clear_output = routed_publish, routed_clear

        def undo() -> None:
            for name, ours in (("publish", routed_publish), ("clear_output", routed_clear)):
                if publisher.__dict__.get(name) is ours:
                    delattr(publisher, name)

        return undo

    def open_figures(self) -> frozenset[int]:
        helpers = sys.modules.get("matplotlib._pylab_helpers")
        return frozenset() if helpers is None else frozenset(helpers.Gcf.figs)

    def show_figures(self, before: frozenset[int], value: object) -> None:
        inline = sys.modules.get("matplotlib_inline.backend_inline")
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        if inline is None or pyplot is None or "inline" not in pyplot.get_backend():
            # A window of its own shows itself.
            return
        for number in sorted(self.open_figures() - before):
            figure = pyplot.figure(number)
            if not _is_in(figure, value):
                try:
                    self._display_figure(figure)
                # Drawing runs code of the user's and of matplotlib; the result of the task is good all the same.
                except Exception as error:  # noqa: BLE001 (told in its place)
                    _tell(f"a figure cannot be drawn: {type(error).__name__}: {error}\n")
            pyplot.close(figure)

    def publish(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        self._shell.display_pub.publish(dict(data), dict(metadata))

    def _display_figure(self, figure: Any) -> None:
        data, metadata = self._shell.display_formatter.format(figure)
        self.publish(data, metadata)


def find_front() -> ShellFront | None:
    """The front end of the shell that has loaded nbflow, else of the one that runs; None in plain Python."""
    if SHELLS:
        return ShellFront(SHELLS[-1])
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return None if shell is None else ShellFront(shell)


def ready_figures(shell: Any) -> None:
    """A figure from the store is drawn like any other, also before pyplot made the first one in this kernel."""
    ready = "matplotlib_inline.backend_inline" in sys.modules
    if ready or "matplotlib.figure" not in sys.modules or getattr(shell, "kernel", None) is None:
        return
    import matplotlib.pyplot as plt  # half a second, which a kernel that has figures needs anyway

    plt.switch_backend(plt.get_backend())


def _is_in(figure: object, value: object) -> bool:
    """Whether a task gives a figure, alone or in a tuple, a list or a dict: then the value shows it."""
    if isinstance(value, (tuple, list)):
        return any(each is figure for each in value)
    return value is figure or (isinstance(value, dict) and any(each is figure for each in value.values()))


def _tell(text: str) -> None:
    capture = current()
    if capture is not None:
        capture.write(Piece(NOTE, text))
