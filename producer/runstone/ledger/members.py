"""Which streams belong to an experiment, learnt from the events themselves. Pure.

A run names its experiment when it starts, and what else is said of it may arrive before that, such as from
another machine. So until a stream has said where it belongs its records are kept back.
"""

from typing import Any, Final

from runstone.events import identity, types
from runstone.exceptions import NoSuchExperimentError

_TELLING: Final = (b'"run_started"', b'"model_created"')
_DIGITS_MAX: Final = 16
"""Of an experiment's id, which lies below 2**53."""


class Names:
    """The names of experiments, as the catalog decides them."""

    def __init__(self) -> None:
        self._named: dict[int, str] = {identity.DEFAULT_EXPERIMENT_ID: identity.DEFAULT_EXPERIMENT}
        self._created_as: list[str] = [identity.DEFAULT_EXPERIMENT]

    def apply(self, event: Any) -> None:
        """The next event of the catalog."""
        if isinstance(event, types.ExperimentCreated):
            if event.name not in self._named.values():
                self._created_as.append(event.name)
                nth = self._created_as.count(event.name)
                self._named[identity.experiment_id(event.name, nth)] = event.name
        elif isinstance(event, types.ExperimentRenamed):
            free = event.name not in self._named.values()
            if free and event.experiment_id in self._named:
                self._named[event.experiment_id] = event.name

    def find(self, experiment: str | int) -> int:
        """The id of the experiment of that name; an id is taken as it is, digits are one if they are no name.

        Raises:
            NoSuchExperimentError: no experiment has the name.
        """
        if isinstance(experiment, int):
            return experiment
        for found, name in self._named.items():
            if name == experiment:
                return found
        if experiment.isascii() and experiment.isdecimal() and len(experiment) <= _DIGITS_MAX:
            return int(experiment)
        raise NoSuchExperimentError(f"no experiment has the name {experiment!r}")


class Members:
    """The streams of one experiment."""

    def __init__(self, experiment_id: int) -> None:
        self._experiment_id = experiment_id
        self._known: dict[str, bool] = {}

    def knows(self, stream: str) -> bool | None:
        """Whether *stream* belongs to the experiment; None while it has not said so."""
        return self._known.get(stream)

    @staticmethod
    def may_tell(value: bytes) -> bool:
        """Whether a record may say where its stream belongs; most that cannot are never decoded."""
        return any(word in value for word in _TELLING)

    def learn(self, stream: str, event: Any) -> None:
        """What *event* says about *stream*; the first word counts."""
        its_own = isinstance(event, types.ModelCreated) and event.model_id == stream
        if its_own or isinstance(event, types.RunStarted):
            self._known.setdefault(stream, event.experiment_id == self._experiment_id)
