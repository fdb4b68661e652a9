"""Twelve ways and one to end a worker process; a worker imports this file, so it imports little."""

import os
import signal
import threading


def die_by_signal(number):
    os.kill(os.getpid(), number)


def segfault(_):
    import ctypes

    ctypes.string_at(0)


def abort(_):
    os.abort()


def exit_at_once(_):
    os._exit(3)


def exit_well(_):
    os._exit(0)


def close_all(_):
    os.closerange(0, 256)


def die_in_thread(_):
    thread = threading.Thread(target=os._exit, args=(5,))
    thread.start()
    thread.join()


def end_group(_):
    os.killpg(os.getpgid(0), signal.SIGKILL)


def exec_another(_):
    os.execv("/bin/true", ["true"])


def too_much_memory(_):
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1, 1))
    os._exit(9)


POISON = {
    "SIGKILL": lambda _: die_by_signal(signal.SIGKILL),
    "SIGTERM": lambda _: die_by_signal(signal.SIGTERM),
    "SIGABRT": abort,
    "SIGSEGV": segfault,
    "SIGBUS": lambda _: die_by_signal(signal.SIGBUS),
    "SIGFPE": lambda _: die_by_signal(signal.SIGFPE),
    "exit 3": exit_at_once,
    "exit 0": exit_well,
    "a thread exits": die_in_thread,
    "its group is killed": end_group,
    "another program": exec_another,
    "no memory": too_much_memory,
    "files closed": close_all,
}
