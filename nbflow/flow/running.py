"""One run of a flow, from what was asked for to the Run: here, or in the background."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from nbflow.engine.endings import RunCancelled
from nbflow.engine.hooks import Hooks, StateChange
from nbflow.engine.keeping import Keeper
from nbflow.engine.places import HOME, NOTEBOOK, OWN, PROCESSES, SYNC, THREADS, Places
from nbflow.engine.run import Shell, session_id
from nbflow.errors import GraphError, Interrupted
from nbflow.executors.cluster import DaskExecutor
from nbflow.executors.home import Home, HomeExecutor, running_loop
from nbflow.executors.inbox import Inbox
from nbflow.executors.loop import LoopExecutor
from nbflow.executors.threads import SyncExecutor, ThreadExecutor
from nbflow.executors.waiting import is_on_own_loop, own_loop
from nbflow.flow.crossing import crossings
from nbflow.flow.finished import Run
from nbflow.flow.output import Presenter
from nbflow.flow.watching import watched
from nbflow.model.executor import Waiting
from nbflow.model.state import State
from nbflow.probe.listening import LISTENER
from nbflow.probe.routing import routed

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping

    from nbflow.engine.places import Where
    from nbflow.engine.resolve import Forced
    from nbflow.executors.base import Executor
    from nbflow.flow.front import Flow
    from nbflow.flow.workshop import Workshop


class Job:
    """A run that is about to be. forced: nodes that run although their results are known."""

    def __init__(self, flow: Flow, workshop: Workshop, parameters: Mapping[str, Any], forced: Forced) -> None:
        self.flow = flow
        self.run = Run(flow, workshop, parameters)
        self.cancelled = False
        self._workshop = workshop
        self._forced = forced
        self._inbox = Inbox()
        flow.last_run = self.run

    def here(self) -> Run:
        """Runs on this thread; gives the Run. An interrupt is told of, and raised again."""
        if is_on_own_loop():
            raise GraphError(
                f"{self.flow.name}: flow.run() inside an async task would hold up all of them; "
                f"write `await flow.arun(...)` there"
            )
        try:
            self.work(Home(running_loop()), watchable=False)
        except KeyboardInterrupt as stop:
            self._tell_interrupted("interrupted")
            raise Interrupted from stop
        return self.run

    def work(self, home: Home, *, watchable: bool) -> None:
        """Runs to the end. home: the thread that asked for it. watchable: whether those who watch may cancel it."""
        self._tell_state(State.PENDING, State.RUNNING)
        around = LISTENER.get(None)
        if around is not None:
            around.ran_flow(self.flow.name)
        try:
            with watched(self.run, self.cancel if watchable else None):
                try:
                    self._run_shell(home)
                except Exception as error:
                    self.run.broken = error
                    raise
                finally:
                    self.run.finish(self._forced)
        except RunCancelled:
            self.cancelled = True
            self._tell_interrupted("cancelled")
        finally:
            self._tell_state(State.RUNNING, self.run.overall)

    def cancel(self) -> None:
        """Ends the run at once; from any thread. What has finished is kept."""
        self._inbox.put(RunCancelled())

    def _run_shell(self, home: Home) -> None:
        flow, workshop, inbox = self.flow, self._workshop, self._inbox
        tell = partial(home.tell, flow.tell)
        keeper = Keeper(
            workshop.ledger,
            workshop.resolver,
            workshop.store,
            session=session_id(),
            replace=frozenset(self._forced),
            tell=tell,
        )
        executors = _executors(workshop, inbox, home, flow)
        output = Presenter(workshop, flow.output)
        places = Places(
            workshop.ledger,
            workshop.resolver,
            home,
            default=flow.executor,
            dask=flow.cluster,
            loop=flow.loop,
            waiting=Waiting(tell, inbox.look),
        )
        shell = Shell(
            workshop.machine,
            workshop.ledger,
            workshop.resolver,
            executors,
            keeper,
            inbox=inbox,
            home=home,
            places=places,
            tell=tell,
            output=output,
        )
        self.run.stale = shell.stale
        try:
            with routed():
                try:
                    shell.run()
                finally:
                    output.close()
                if keeper.written:
                    for sentence in crossings(workshop, keeper.written):
                        tell(sentence)
        finally:
            for executor in executors.values():
                executor.close()

    def _tell_interrupted(self, how: str) -> None:
        ran, _, failed = self.run.counts()
        kept = ran - failed
        results = f"{kept} finished result{'s are' if kept != 1 else ' is'} kept"
        self.flow.tell(f"{self.flow.name}: {how}; {results}, the next run goes on from there")

    def _tell_state(self, old: State, new: State) -> None:
        if self.flow.on_state is not None:
            hooks = Hooks(self._workshop.ledger, self.flow.tell)
            hooks.call_one(self.flow.on_state, StateChange(self.flow.name, None, old, new))


def _executors(workshop: Workshop, inbox: Inbox, home: Home, flow: Flow) -> dict[Where, Executor]:
    memo = workshop.memo

    def home_loop() -> AbstractEventLoop:
        assert home.loop is not None
        home.want_loop()
        return home.loop

    return _Executors(
        {
            SYNC: lambda: SyncExecutor(memo),
            THREADS: lambda: ThreadExecutor(memo, inbox),
            HOME: lambda: HomeExecutor(memo, inbox, home),
            OWN: lambda: LoopExecutor(memo, inbox, own_loop),
            NOTEBOOK: lambda: LoopExecutor(memo, inbox, home_loop),
            PROCESSES: lambda: _processes(inbox),
        },
        lambda where: _dask(where, inbox, partial(home.tell, flow.tell)),
    )


class _Executors(dict["Where", "Executor"]):
    """The executors of a run, made when they are needed. cluster: makes those of clusters."""

    def __init__(self, makers: Mapping[Where, Callable[[], Executor]], cluster: Callable[[Where], Executor]) -> None:
        super().__init__()
        self._makers = makers
        self._cluster = cluster

    def __missing__(self, where: Where) -> Executor:
        executor = self[where] = self._makers[where]() if where in self._makers else self._cluster(where)
        return executor


def _processes(inbox: Inbox) -> Executor:
    from nbflow.executors.processes import ProcessExecutor  # brings in what only those need who use processes

    return ProcessExecutor(inbox)


def _dask(cluster: Where, inbox: Inbox, tell: Callable[[str], None]) -> Executor:
    """The executor of a cluster: the flow's, or one that tasks name."""
    assert isinstance(cluster, DaskExecutor)
    cluster.connect(Waiting(tell, inbox.look))
    from nbflow.executors.dask import ClusterRun  # once it is known that there is what it needs

    return ClusterRun(inbox, cluster, tell)
