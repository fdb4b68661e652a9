"""The signals, where users of Prefect 1 look for them."""

from nbflow.signals import FAIL, LOOP, PAUSE, RETRY, SKIP, SUCCESS, Signal

__all__ = ["FAIL", "LOOP", "PAUSE", "RETRY", "SKIP", "SUCCESS", "Signal"]
