"""Makes the classes of events: what ``dataclass(frozen=True, slots=True)`` makes, in a third of the time.

``dataclasses`` compiles six functions for each class, which for all events together would be a third of what
``import runstone`` takes. Here only ``__init__`` is compiled; the others are the same functions for all.
"""

import dataclasses
from typing import Any, Final, TypeVar, dataclass_transform

Class = TypeVar("Class")

_MISSING: Final = dataclasses.MISSING


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def event_class(cls: type[Class]) -> type[Class]:
    """A class decorator. Instances compare, hash and print by their fields, and cannot be changed."""
    cls.__doc__ = cls.__doc__ or cls.__name__  # else dataclasses would take long to find out a signature
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    made.__init__ = _init(made)
    made.__setattr__ = _refuse_to_set
    made.__delattr__ = _refuse_to_delete
    made.__eq__ = _eq
    made.__hash__ = _hash
    made.__repr__ = _repr
    made.__reduce__ = _reduce
    return made  # type: ignore[no-any-return]


def _init(cls: Any) -> Any:
    """``__init__``, with default factories called each time."""
    names: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": _MISSING}
    parameters, body = ["self"], []
    for field in dataclasses.fields(cls):
        value = field.name
        if field.default_factory is not _MISSING:
            names[f"_make_{field.name}"] = field.default_factory
            parameters.append(f"{field.name}=_MISSING")
            value = f"_make_{field.name}() if {field.name} is _MISSING else {field.name}"
        elif field.default is not _MISSING:
            names[f"_default_{field.name}"] = field.default
            parameters.append(f"{field.name}=_default_{field.name}")
        else:
            parameters.append(field.name)
        body.append(f" _set(self, {field.name!r}, {value})")
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(body), names)  # noqa: S102  # names of fields only
    made = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__slots__])


def _refuse_to_set(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _eq(self: object, other: object) -> bool:
    return type(self) is type(other) and _values(self) == _values(other)


def _hash(self: object) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
    return f"{type(self).__qualname__}({fields})"


def _reduce(self: object) -> tuple[Any, ...]:
    return type(self), _values(self)
