"""The run that children of multiprocessing log to: the one that was active where they were started.

A forked child has its parent's memory and so its run. One that ``spawn`` or ``forkserver`` started has
nothing, but each object of ``multiprocessing.Process`` carries a dict of settings that is pickled for it.
Into that goes a `_Handover`, which is asked for the active run when it is pickled: in the thread, hence for
the context, that starts the child. There it comes out as a plain dict: per tracking URI the run's identity.
Process pools of ``concurrent.futures``, ``torch`` and ``joblib`` start their workers by the same class.

A `Run` that is sent to another process by hand (it can be pickled) arrives there as one that was joined.
"""

import sys
import weakref
from typing import Any, Final, NamedTuple, Protocol

NAME: Final = "runstone"
"""The key among the settings of a process."""


class Handed(NamedTuple):
    """A run as another process knows it."""

    run_id: str
    experiment_id: int
    name: str


class Offering(Protocol):
    """What this module needs of a client."""

    def handed_over(self) -> tuple[str, Handed] | None:
        """Its tracking URI and active run; None where there is none."""


_offering: Final["weakref.WeakSet[Offering]"] = weakref.WeakSet()


class _Handover:
    def __reduce__(self) -> tuple[type[dict[str, tuple[str, int, str]]], tuple[Any]]:
        found = {}
        for client in list(_offering):
            said = client.handed_over()
            if said is not None:
                found[said[0]] = tuple(said[1])
        return dict, (found,)


def offer(client: Offering) -> None:
    """Let children that are started from now on know the active run of *client*."""
    _offering.add(client)
    from multiprocessing import process  # noqa: PLC0415  # importing runstone must stay cheap

    settings = getattr(process.current_process(), "_config", None)
    if isinstance(settings, dict) and not isinstance(settings.get(NAME), _Handover):
        settings[NAME] = _Handover()


def received(tracking_uri: str) -> Handed | None:
    """The run of *tracking_uri* that was active where this process was started; None where there was none."""
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return None
    found = getattr(process.current_process(), "_config", {}).get(NAME)
    try:
        return Handed(*found[tracking_uri]) if isinstance(found, dict) and tracking_uri in found else None
    except TypeError:  # of another version
        return None
