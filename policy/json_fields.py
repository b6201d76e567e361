"""Frozen dataclasses as JSON objects and back: compact, in the order of the fields, fields at their default left out.

The types of the fields decide what is accepted; a value of another type is a ``FieldError``, never a guess.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any, TypeVar

Record = TypeVar("Record")
Outer = TypeVar("Outer")
Made = TypeVar("Made")


class FieldError(ValueError):
    """An object that does not describe the dataclass: a missing field, or a value of the wrong type."""


@dataclasses.dataclass(frozen=True)
class _Field:
    name: str
    default: object  # dataclasses.MISSING if the field has none
    to_json: Callable[[Any], object]
    from_json: Callable[[object], object]


def to_object(record: object) -> dict[str, object]:
    """Return the fields of a dataclass that differ from their defaults, in order."""
    return {
        field.name: field.to_json(value)
        for field in _fields(type(record))
        if (value := getattr(record, field.name)) != field.default
    }


def from_object(kind: type[Record], values: dict[str, object], **given: object) -> Record:
    """Return the dataclass that the object describes. Keys that the dataclass does not have are ignored.

    ``given`` are fields that no rule here can read. Raises FieldError for a missing field or a value of the wrong type.
    """
    arguments = given
    readers, _ = _readers(typing.cast(Any, kind))
    for name, value in values.items():
        read = readers.get(name)
        if read is not None:
            try:
                arguments[name] = read(value)
            except FieldError as error:
                raise FieldError(f'"{name}" {error}') from None
    return _made(kind, arguments)


def two_from_object(
    inner: type[Record], outer: type[Outer], field: str, values: dict[str, object]
) -> tuple[Outer, int]:
    """Return the outer dataclass, whose ``field`` is the inner one; the object has the fields of both side by side.

    The second is how many keys neither of them has. Raises FieldError as ``from_object`` does, TypeError for two
    dataclasses with a field of the same name. In one pass: a profile has tens of thousands of such objects.
    """
    places = _places(typing.cast(Any, inner), typing.cast(Any, outer))
    arguments: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    unknown = 0
    for name, value in values.items():
        place = places.get(name)
        if place is None:
            unknown += 1
            continue
        which, read = place
        try:
            arguments[which][name] = read(value)
        except FieldError as error:
            raise FieldError(f'"{name}" {error}') from None
    arguments[_OUTER][field] = _made(inner, arguments[_INNER])
    return _made(outer, arguments[_OUTER]), unknown


_INNER, _OUTER = 0, 1


@functools.cache
def _places(inner: type[Any], outer: type[Any]) -> dict[str, tuple[int, Callable[[object], object]]]:
    # Which of the two a key belongs to, and how it is read.
    if shared := _names((inner,)) & _names((outer,)):
        raise TypeError(f"{inner.__name__} and {outer.__name__} both have {', '.join(sorted(shared))}")
    return {
        field.name: (which, field.from_json) for which, kind in enumerate((inner, outer)) for field in _fields(kind)
    }


def _made(kind: type[Made], arguments: dict[str, Any]) -> Made:
    for name in _readers(typing.cast(Any, kind))[1]:
        if name not in arguments:
            raise FieldError(f'"{name}" is missing')
    return kind(**arguments)


def unknown_keys(kinds: tuple[type[Any], ...], values: dict[str, object]) -> int:
    """Count the keys that none of these dataclasses has."""
    names = _names(kinds)
    return 0 if names.issuperset(values) else len(values.keys() - names)


@functools.cache
def _names(kinds: tuple[type[Any], ...]) -> frozenset[str]:
    return frozenset(field.name for kind in kinds for field in _fields(kind))


@functools.cache
def _readers(kind: type[object]) -> tuple[dict[str, Callable[[object], object]], tuple[str, ...]]:
    # How each field is read, and those that must be there.
    fields = _fields(kind)
    required = tuple(field.name for field in fields if field.default is dataclasses.MISSING)
    return {field.name: field.from_json for field in fields}, required


_known: dict[type[object], tuple[_Field, ...]] = {}


def _fields(kind: type[object]) -> tuple[_Field, ...]:
    # Looked up once per dataclass: a profile has tens of thousands of facts.
    if kind not in _known:
        _known[kind] = _fields_of(kind)
    return _known[kind]


def _fields_of(kind: type[Any]) -> tuple[_Field, ...]:
    """Return how the fields of a dataclass are written and read; a TypeError for a type that has no rule here.

    Fields that are unions are the caller's: which member it is does not show in the values.
    """
    hints = typing.get_type_hints(kind)
    return tuple(
        _Field(field.name, _default(field), *_codec(hints[field.name]))
        for field in dataclasses.fields(kind)
        if not isinstance(hints[field.name], types.UnionType)
    )


def _default(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _codec(hint: Any) -> tuple[Callable[[Any], object], Callable[[object], object]]:
    if hint in {str, int, bool}:
        return _same, functools.partial(_plain, hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum_value, functools.partial(_enum, {member.value: member for member in hint}, hint.__name__)
    if typing.get_origin(hint) in {tuple, frozenset}:
        return _collection_codec(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return to_object, functools.partial(_record, hint)
    raise TypeError(f"no rule to write {hint} as JSON")


def _collection_codec(hint: Any) -> tuple[Callable[[Any], object], Callable[[object], object]]:
    """tuple[X, ...] and frozenset[X] of any length, and tuple[X, Y] of exactly its members."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is frozenset:
        write, read = _codec(arguments[0])
        return (lambda values: sorted(map(write, values), key=repr)), (lambda value: frozenset(_list(value, read)))
    if arguments[-1] is Ellipsis:
        write, read = _codec(arguments[0])
        return (lambda values: [write(value) for value in values]), (lambda value: tuple(_list(value, read)))
    codecs = [_codec(argument) for argument in arguments]
    return (
        lambda values: [write(value) for (write, _), value in zip(codecs, values, strict=True)],
        lambda value: _fixed(value, [read for _, read in codecs]),
    )


def _same(value: object) -> object:
    return value


def _enum_value(value: Enum) -> object:
    return value.value


def _plain(kind: type[object], value: object) -> object:
    if type(value) is not kind:  # bool is an int for isinstance
        raise FieldError(f"is not of the type {kind.__name__}")
    return value


def _enum(members: dict[str, StrEnum], name: str, value: object) -> object:
    if not isinstance(value, str) or value not in members:
        raise FieldError(f"is no {name}: {str(value)[:40]!a}")
    return members[value]


def _list(value: object, read: Callable[[object], object]) -> list[object]:
    if not isinstance(value, list):
        raise FieldError("is not a list")
    return [read(item) for item in value]


def _fixed(value: object, readers: list[Callable[[object], object]]) -> tuple[object, ...]:
    if not isinstance(value, list) or len(value) != len(readers):
        raise FieldError(f"is not a list of {len(readers)}")
    return tuple(read(item) for read, item in zip(readers, value, strict=True))


def _record(kind: type[Any], value: object) -> object:
    if not isinstance(value, dict):
        raise FieldError("is not an object")
    return from_object(kind, value)
