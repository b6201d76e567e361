"""Hypothesis strategies for the values of ``policy``, made from the dataclasses themselves: new fields join in."""

from __future__ import annotations

import dataclasses
import os
import typing
from enum import Enum
from typing import Any

from hypothesis import strategies as st

from policy.behaviour import BEHAVIOURS, Behaviour, Fact
from policy.recording import Header, Loss, Recording
from policy.service_profile import Profile, unite
from policy.unit_settings import UnitSettings

HOSTILE = "\n\r\0\t\x1b\"'\\%:#;=[]{},/-+ äß\u2028\u202e\ufeff\ufffe\U0001f600"

texts = st.text(alphabet=st.sampled_from(HOSTILE) | st.characters(exclude_categories=["Cs"]), max_size=12)
"""Text as the kernel's bytes give it: hostile characters, and surrogates for what is not UTF-8."""

raw_texts = texts | st.binary(max_size=12).map(os.fsdecode)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a field of this type."""
    plain = {str: raw_texts, bool: st.booleans(), int: st.integers(min_value=-(2**31), max_value=2**64)}
    if hint in plain:
        return plain[hint]
    if hint == Behaviour:
        return behaviours
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    return _collections_of(hint) if typing.get_origin(hint) else records(hint)


def _collections_of(hint: Any) -> st.SearchStrategy[Any]:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is frozenset:
        return st.frozensets(values_of(arguments[0]), max_size=3)
    if arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    return st.tuples(*map(values_of, arguments))


def records(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for a frozen dataclass, from the types of its fields; defaults come up often."""
    hints = typing.get_type_hints(kind)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in dataclasses.fields(kind):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        (optional if has_default else required)[field.name] = values_of(hints[field.name])
    return st.fixed_dictionaries(required, optional=optional).map(lambda values: kind(**values))


behaviours: st.SearchStrategy[Behaviour] = st.one_of(*map(records, BEHAVIOURS))
facts: st.SearchStrategy[Fact] = records(Fact)
fact_sets = st.lists(facts, max_size=5).map(unite)
losses: st.SearchStrategy[Loss] = records(Loss)
recordings: st.SearchStrategy[Recording] = records(Recording)
unit_settings: st.SearchStrategy[UnitSettings] = records(UnitSettings)


def profiles(name: str = "a.service", pool: st.SearchStrategy[Fact] = facts) -> st.SearchStrategy[Profile]:
    """Return profiles of one unit, whose settings may differ; facts come from ``pool``."""
    units = unit_settings.map(lambda unit: dataclasses.replace(unit, name=name))
    headers = st.builds(
        Header,
        unit=units | st.just(UnitSettings(name)),
        recordings=st.frozensets(recordings, max_size=3),
        other_settings=st.frozensets(units, max_size=2),
    )
    return st.builds(Profile, header=headers, facts=st.lists(pool, max_size=6).map(unite))
