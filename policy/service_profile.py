"""The profile: everything that is known about what one service does, and how it came to be known.

A set of facts with the recordings they come from; merging is set union. On disk it is JSON lines: ASCII, sorted, one
fact a line, so that it is readable, differences show, and damage is noticed.

::

    {"unit-tailor-profile":1}
    {"unit":"nginx.service","type":"forking",...}
    {"recording":"6f1e...","recorders":["strace"],...}
    {"fact":"PathUse","path":"/etc/nginx/nginx.conf","access":"read","kind":"regular","phase":"start-up"}
    {"end":1,"sha256":"..."}

Fields at their default are left out: the defaults belong to the format, and changing one needs a new number. The last
line holds the number of facts and the digest of all bytes in front of it. Unknown keys are tolerated; unknown types of
facts are not, because a fact that is left out makes the drop-in too strict.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from policy.behaviour import BEHAVIOURS, Behaviour, Fact
from policy.json_fields import FieldError, Record, from_object, to_object, two_from_object, unknown_keys
from policy.recording import Header, Loss, Recording, Workload, merge_headers
from policy.unit_settings import UnitSettings

__all__ = [
    "FORMAT",
    "DifferentUnits",
    "Header",
    "Loss",
    "Profile",
    "ProfileError",
    "Recording",
    "Workload",
    "dumps",
    "loads",
    "merge",
]

FORMAT = 1
"""The version of the format that is written, and the newest that is read."""

_MARK = "unit-tailor-profile"
BEGINNING = f'{{"{_MARK}":'.encode()
"""What every profile begins with."""

_SEEN = "seen"  # of a fact in a merged profile: the places of the recordings that saw it, counted from 0
_KINDS: dict[str, type[Behaviour]] = {kind.__name__: kind for kind in BEHAVIOURS}
_POSITIONS = {kind: position for position, kind in enumerate(BEHAVIOURS)}
_scan = json.JSONDecoder().raw_decode
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False).encode


Sightings = Mapping[Fact, frozenset[str]]


@dataclass(frozen=True)
class Profile:
    """The facts and where they come from. ``unknown_keys`` counts what a reader met in the text and did not know."""

    header: Header = field(default_factory=Header)
    facts: frozenset[Fact] = frozenset()
    unknown_keys: int = field(default=0, compare=False)
    sightings: Sightings = field(default_factory=dict, compare=False)
    """Which recordings saw a fact, by their identities; nothing of facts from profiles that were merged before this was
    kept, and of a profile that was not read from a text. It changes no decision."""

    @property
    def counted_recordings(self) -> int:
        """The N of "seen in n of N recordings": those whose facts are told apart."""
        return len(frozenset[str]().union(*set(self.sightings.values())))

    @property
    def is_partial(self) -> bool:
        """Whether a recorder lost anything: then a fact may be missing, and a drop-in may break the service."""
        return any(recording.losses for recording in self.header.recordings)


class ProfileError(ValueError):
    """Text that is not an intact profile: the name of the file, the line (0: the whole), the reason and the remedy."""

    def __init__(self, name: str, line: int, reason: str, remedy: str) -> None:
        super().__init__(f"{name}:{line}: {reason}" if line else f"{name}: {reason}")
        self.name = name
        self.line = line
        self.reason = reason
        self.remedy = remedy


class DifferentUnits(ProfileError):
    """Profiles of different units were to be merged. ``names`` are the units, sorted."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        super().__init__(
            "merge", 0, f"profiles of different units: {', '.join(self.names)}", "give profiles of one unit"
        )


def merge(profiles: Iterable[Profile], *, different_units: bool = False) -> Profile:
    """Return the union of profiles. The order of profiles, and how often each is given, do not matter.

    Of two facts that differ in their evidence only, the evidence that sorts first stays (some before none). Raises
    DifferentUnits unless all are of one unit or ``different_units`` is set, ValueError for no profile at all.
    """
    given = list(profiles)
    if not given:
        raise ValueError("nothing to merge")
    names = {profile.header.unit.name for profile in given}
    if len(names) > 1 and not different_units:
        raise DifferentUnits(names)
    facts = unite(fact for profile in given for fact in profile.facts)
    unknown = max(profile.unknown_keys for profile in given)
    header = merge_headers([profile.header for profile in given])
    return Profile(header, facts, unknown, _sightings(given))


def _sightings(profiles: Sequence[Profile]) -> Sightings:
    united: dict[Fact, frozenset[str]] = {}
    for profile in profiles:
        for fact, identities in profile.sightings.items():
            known = united.get(fact)
            united[fact] = identities if known is None else known | identities
    return united


def unite(facts: Iterable[Fact]) -> frozenset[Fact]:
    """Return the set of facts, each with the evidence that sorts first."""
    united: dict[Fact, Fact] = {}
    for fact in facts:
        other = united.setdefault(fact, fact)
        if other is not fact and _evidence_order(fact) < _evidence_order(other):
            united[fact] = fact
    return frozenset(united.values())


def _evidence_order(fact: Fact) -> tuple[bool, str]:
    return not fact.evidence, fact.evidence


def dumps(profile: Profile) -> str:
    """Return the text of a profile: the same text for an equal profile, whatever the order of its parts."""
    lines = [
        _encode({_MARK: FORMAT}),
        *_unit_lines(profile.header),
        *(line for line, _ in _recording_lines(profile.header)),
        *_fact_lines(profile),
    ]
    body = "".join(f"{line}\n" for line in lines)
    return f"{body}{_end_line(len(profile.facts), body)}\n"


def _unit_lines(header: Header) -> list[str]:
    others = sorted(_encode(_renamed("name", "other-settings", unit)) for unit in header.other_settings)
    return [_encode(_renamed("name", "unit", header.unit)), *others]


def _recording_lines(header: Header) -> list[tuple[str, str]]:
    """Return the lines of the recordings in their order, each with the recording's identity."""
    recordings = header.recordings
    return sorted((_encode(_renamed("identity", "recording", one)), one.identity) for one in recordings)


def _renamed(old: str, new: str, record: object) -> dict[str, object]:
    """Return the record's fields with its naming field in front, under the name that marks the kind of line."""
    values = to_object(record)
    return {new: values.pop(old, getattr(record, old)), **values}


def _fact_lines(profile: Profile) -> list[str]:
    places = {identity: place for place, (_, identity) in enumerate(_recording_lines(profile.header))}
    sightings = {} if profile.sightings == _seen_by_the_only_one(profile.header, profile.facts) else profile.sightings
    lines = [
        (_POSITIONS[type(fact.behaviour)], _fact_line(fact, sightings.get(fact), places)) for fact in profile.facts
    ]
    return [line for _, line in sorted(lines)]


def _seen_by_the_only_one(header: Header, facts: Iterable[Fact]) -> Sightings:
    """Return what goes without saying where there is only one recording."""
    only = frozenset(recording.identity for recording in header.recordings)
    return dict.fromkeys(facts, only) if len(header.recordings) == 1 else {}


def _fact_line(fact: Fact, identities: frozenset[str] | None, places: Mapping[str, int]) -> str:
    seen = {_SEEN: sorted(places[identity] for identity in identities)} if identities else {}
    return _encode({"fact": type(fact.behaviour).__name__, **to_object(fact.behaviour), **to_object(fact), **seen})


def _end_line(count: int, body: str) -> str:
    digest = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    return _encode({"end": count, "sha256": digest})


def loads(text: str, name: str) -> Profile:
    """Read a profile; ``name`` is the file for messages. Raises ProfileError for anything but an intact profile."""
    return _Loader(name).load(text)


class _Loader:
    # Reads one text; ``name`` is what messages call it.

    def __init__(self, name: str) -> None:
        self.name = name
        self.unit: UnitSettings | None = None
        self.other_settings: set[UnitSettings] = set()
        self.recordings: set[Recording] = set()
        self.identities: list[str] = []  # of the recordings, in the order of their lines
        self.facts: list[Fact] = []
        self.sightings: dict[Fact, frozenset[str]] = {}
        self.unknown_keys = 0

    def load(self, text: str) -> Profile:
        lines = text.split("\n")
        self._check_format(lines[0])
        if len(lines) < 3 or lines[-1] or not lines[-2].startswith('{"end":'):
            raise self._error(len(lines) - (not lines[-1]), "the end is missing: the file was cut off")
        for number, line in enumerate(lines[1:-2], start=2):
            self._take(number, line)
        self._check_end(len(lines) - 1, lines[-2], text[: -len(lines[-2]) - 1])
        if self.unit is None:
            raise self._error(2, 'the line "unit" is missing')
        header = Header(self.unit, frozenset(self.recordings), frozenset(self.other_settings))
        facts = unite(self.facts)
        return Profile(header, facts, self.unknown_keys, self.sightings or _seen_by_the_only_one(header, facts))

    def _error(self, line: int, reason: str, remedy: str = "") -> ProfileError:
        return ProfileError(self.name, line, reason, remedy or "record again, or take an intact copy of the file")

    def _check_format(self, line: str) -> None:
        number = self._object(1, line).get(_MARK) if line.startswith(f'{{"{_MARK}":') else None
        if type(number) is not int or number < 1:
            raise self._error(0 if number is None else 1, "not a unit-tailor profile", "give a file that record wrote")
        if number > FORMAT:
            raise self._error(
                1,
                f"made by a newer unit-tailor (format {number}); this one reads up to {FORMAT}",
                "upgrade unit-tailor here, or record again with this version",
            )

    def _check_end(self, number: int, line: str, body: str) -> None:
        if line != _end_line(len(self.facts), body):
            raise self._error(number, "the number of facts or the digest differ: the file was changed or is damaged")

    def _object(self, number: int, line: str) -> dict[str, object]:
        try:
            value, end = _scan(line)  # json.loads without its look for white space, as we write none
        except (ValueError, RecursionError):
            value, end = None, -1
        if end != len(line):
            raise self._error(number, "not a line of JSON")
        if not isinstance(value, dict):
            raise self._error(number, "not a JSON object")
        return value

    def _take(self, number: int, line: str) -> None:
        values = self._object(number, line)
        kind = next(iter(values), "")
        try:
            match kind:
                case "fact":
                    self._take_fact(values)
                case "recording":
                    recording = self._record(Recording, "identity", values)
                    self.recordings.add(recording)
                    self.identities.append(recording.identity)
                case "unit" if self.unit is None:
                    self.unit = self._record(UnitSettings, "name", values)
                case "other-settings":
                    self.other_settings.add(self._record(UnitSettings, "name", values))
                case _:
                    raise FieldError(f"unexpected line {kind[:40]!a}")
        except FieldError as error:
            raise self._error(number, str(error)) from None

    def _record(self, kind: type[Record], naming_field: str, values: dict[str, object]) -> Record:
        """Read a line whose first key marks what it is and holds the field that names the record."""
        mark = next(iter(values))
        fields = {**values, naming_field: values[mark]}
        del fields[mark]
        self.unknown_keys += unknown_keys((kind,), fields)
        return from_object(kind, fields)

    def _take_fact(self, values: dict[str, object]) -> None:
        name = values.pop("fact")
        kind = _KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise FieldError(f"unknown type of fact {str(name)[:40]!a}: made by a newer unit-tailor?")
        places = values.pop(_SEEN, None)
        fact, unknown = two_from_object(kind, Fact, "behaviour", values)
        self.unknown_keys += unknown
        self.facts.append(fact)
        if places is not None:
            self.sightings[fact] = self._seen_by(places)

    def _seen_by(self, places: object) -> frozenset[str]:
        known = range(len(self.identities))
        if not isinstance(places, list) or any(type(place) is not int or place not in known for place in places):
            raise FieldError(f'"{_SEEN}" does not name recordings of this profile')
        return frozenset(self.identities[place] for place in places)
