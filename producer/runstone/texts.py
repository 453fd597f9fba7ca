"""The calls that record what describes a run: params, tags, its note, the datasets it reads."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from runstone import notices
from runstone.events import limits
from runstone.events.types import Event, Param, Tag, TagDeleted
from runstone.exceptions import InvalidInputError
from runstone.inputs import checked_key, plain_dict, text
from runstone.run_stream import RunStream, now_ms

NOTE_TAG: Final = "mlflow.note.content"
"""The tag that holds a run's note, under MLflow's name so that its interface shows it too."""


class Texts(RunStream):
    """A run's params, tags and inputs."""

    def log_param(self, key: str, value: Any) -> None:
        """Record a setting; anything becomes its text. The first value of a key wins.

        Raises:
            InvalidInputError: the key is none (or, with RUNSTONE_STRICT=1, the text would be altered).
            RunEndedError: the run has ended.
        """
        self.log_params({checked_key(key, "param"): value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings; where one key is bad, none is recorded. Raises as `log_param`."""
        for each in text_events(params, "param", limits.PARAM_VALUE_MAX, Param, strict=self._strict):
            self._event(each)

    def set_tag(self, key: str, value: Any) -> None:
        """Set a tag; anything becomes its text. The last value of a key wins. Raises as `log_param`."""
        self.set_tags({checked_key(key, "tag"): value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; where one key is bad, none is set. Raises as `log_param`."""
        for each in tag_events(tags, strict=self._strict):
            self._event(each)

    def delete_tag(self, key: str) -> None:
        """Remove a tag; where there is none, nothing happens. Raises as `log_param`."""
        self._event(TagDeleted(checked_key(key, "tag"), now_ms()))

    def set_note(self, text: str) -> None:
        """Leave a note on the run, in place of one before: Markdown that both interfaces show beside it.

        Raises:
            InvalidInputError: it is no text (or, with RUNSTONE_STRICT=1, has over 8000 characters).
            RunEndedError: the run has ended.
        """
        if not isinstance(text, str):
            raise InvalidInputError(f"set_note: expected a text, found {type(text).__name__}")
        self.set_tags({NOTE_TAG: text})

    def log_input(
        self,
        dataset: Any = None,
        context: str = "",
        tags: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        digest: str = "",
        source: str = "",
        schema: str | Mapping[str, str] = "",
    ) -> None:
        """Record which dataset the run reads: name, digest, schema and size, never the data.

        Of several records of the same name and digest the last one counts.

        Args:
            dataset: a pandas DataFrame, a numpy array, a dict of columns or arrays, a dataset of
                ``mlflow.data``; anything else, or nothing, where *name* and *digest* are given.
            context: what for, such as "training" or "validation".
            tags: of this input; anything becomes its text.
            name: shown to people; by default "dataset".
            digest: identifies the content, at most 36 characters. By default it is computed from the
                content: all of it up to 256 MiB, evenly spaced rows of more.
            source: a path or URI; by default the program that runs.
            schema: column names and their types, or a text of MLflow's form; by default found out.

        Raises:
            InvalidInputError: nothing is known about such data and no digest is given, or a text is too long.
            RunEndedError: the run has ended.
        """
        from runstone.datasets import dataset_input  # noqa: PLC0415  # importing runstone must stay cheap

        found = dataset_input(
            dataset,
            name=name,
            digest=digest,
            context=context,
            origin=source,
            schema=schema,
            tags={} if tags is None else tags,
            time=now_ms(),
            strict=self._strict,
        )
        self._event(found)


def tag_events(tags: Mapping[str, Any], *, strict: bool) -> list[Event]:
    """The events that set tags; raises as `Run.set_tags`, with nothing written."""
    return text_events(tags, "tag", limits.TAG_VALUE_MAX, Tag, strict=strict)


def text_events(
    found: Mapping[str, Any],
    what: str,
    longest: int,
    event: Callable[[str, str, int], Event],
    *,
    strict: bool,
) -> list[Event]:
    """An event for each pair, and a tag that names each key whose text had to be altered."""
    at = now_ms()
    events: list[Event] = []
    for name, value in plain_dict(found, f"{what}s").items():
        key = checked_key(name, what)
        try:
            said, altered = text(value, longest)
        except InvalidInputError as wrong:
            raise InvalidInputError(f"{what} {key!r}: {wrong}") from None
        events.append(event(key, said, at))
        if altered and strict:
            raise InvalidInputError(f"{what} {key!r} would be {altered}; RUNSTONE_STRICT=1 does not allow it")
        if altered:
            notices.warn_once(
                f"altered {what}",
                f"{what} {key!r} was {altered}; such keys are named by tags runstone.altered.*",
            )
            events.append(Tag(f"runstone.altered.{key}"[: limits.KEY_MAX], f"{what} {altered}", at))
    return events
