"""What is wrong with a filter or an order, and where."""


class SearchError(ValueError):
    """A filter or order that cannot be understood.

    Attributes:
        position: index of the character where it went wrong; the length of the text at its end.
        found: what stands there, for a person.
        accepted: what could stand there, for a person.
    """

    def __init__(self, position: int, found: str, accepted: str) -> None:
        super().__init__(f"at character {position + 1}: found {found}, expected {accepted}")
        self.position = position
        self.found = found
        self.accepted = accepted


def shown(text: str) -> str:
    """*text* quoted for a message, cut to a readable length."""
    return repr(text if len(text) <= 60 else text[:57] + "…")
