"""What the subcommands of `%flow` do: each takes the session and what was written behind the command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nbflow.errors import HeadError, MissingExtra
from nbflow.notebook.clusters import call_on
from nbflow.notebook.frames import run_to_look_at
from nbflow.notebook.modes import goes_on_text
from nbflow.notebook.params import form_of, given_values, is_given, set_values
from nbflow.notebook.stored import cache_text, clear

if TYPE_CHECKING:
    import pandas as pd

    from nbflow.flow.background import Background
    from nbflow.flow.finished import Run
    from nbflow.flow.form import Form
    from nbflow.flow.logs import RunLog
    from nbflow.flow.plans import Plan
    from nbflow.notebook.arguments import Given
    from nbflow.notebook.session import Session
    from nbflow.results.comparison import Comparison


def run(session: Session, given: Given) -> Run | Background:
    values = [word for word in given.words if is_given(word)]
    names = [word for word in given.words if not is_given(word)] or None
    if given.has("background"):
        if values:
            raise HeadError(f"%flow run --background takes no values; set them before: %flow params {' '.join(values)}")
        return session.start(names, force=given.has("force"))
    with given_values(session, values):
        done = session.run(names, force=given.has("force"))
    print(done.summary())
    return done


def plan(session: Session, given: Given) -> Plan:
    session.givens.tell_edited()
    return session.by_helpers.as_in_a_run().plan(given.words or None)


def why(session: Session, given: Given) -> None:
    print(session.by_helpers.as_in_a_run().why(given.words[0], given.element))
    session.givens.tell_edited()


def frame(session: Session, given: Given) -> Any:
    name = given.words[0]
    run, left_out = run_to_look_at(session, name)
    if left_out:
        print(left_out)
    if given.has("grid"):
        try:
            return run.grid(name)
        except MissingExtra as missing:
            print(missing)
    return run.frame(name)


def status(session: Session, given: Given) -> None:
    for line in session.by_helpers.as_in_a_run().status().lines():
        print(line)
    goes_on = goes_on_text(session.behind)
    if goes_on:
        print(goes_on)
    session.givens.tell_edited()
    print(f"results are kept in {os.path.relpath(session.store)}")


def history(session: Session, given: Given) -> pd.DataFrame:
    return session.build().history(*given.words, all=given.has("all"))


def compare(session: Session, given: Given) -> Comparison:
    return session.build().compare(*map(int, given.words))


def accept(session: Session, given: Given) -> None:
    print(session.build().accept(*given.words))


def approve(session: Session, given: Given) -> Run:
    done = session.run(given.words, approve=given.words)
    print(done.summary())
    return done


def remove(session: Session, given: Given) -> None:
    for name in given.words:
        session.remove(name)
    print("removed: " + ", ".join(given.words))


def lazy(session: Session, given: Given) -> None:
    print(session.modes.set_lazy(given.words))


def auto(session: Session, given: Given) -> None:
    print(session.modes.set_auto(given.words))


def executor(session: Session, given: Given) -> None:
    print(call_on(session.flow, given.words[0] if given.words else None, session.namespace))


def cache(session: Session, given: Given) -> None:
    print(cache_text(session))


def clear_stored(session: Session, given: Given) -> None:
    print(clear(session, given.words))


def export(session: Session, given: Given) -> None:
    from nbflow.notebook.export import export as write_module

    print(write_module(session, given.words[0], force=given.has("force")))


def params(session: Session, given: Given) -> Form | None:
    if given.words:
        print(set_values(session, given.words))
        return None
    return form_of(session)


def debug(session: Session, given: Given) -> None:
    session.debug(given.words[0], given.element)


def log(session: Session, given: Given) -> RunLog:
    return session.run_with(given.words[0]).log(given.words[0], given.element)
