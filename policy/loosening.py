"""Loosening: the pieces into which a directive's denial can be taken apart, for a search by trying.

Where the model knows why something is denied, ``policy.relax`` says what to change. Where it does not, changes have to
be tried out; here are those that can be, smallest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.directives.base import Directive, all_directives
from policy.directives.choice import Choice
from policy.drop_in import DropIn
from policy.host_facts import HostFacts
from policy.relax import FILTERS, Relaxation, without_words, words_that_deny
from policy.settings import parse_settings
from policy.unit_settings import ALIASES


@dataclass(frozen=True)
class Pieces:
    """Parts of one directive of which some have to go: ``words`` of its lines (the place of the line among those of the
    directive, and the word), or ``missing`` elements that it could allow.
    """

    directive: str
    words: tuple[tuple[int, str], ...] = ()
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.words) or len(self.missing)

    def change(self, drop_in: DropIn, chosen: Sequence[int], reason: str) -> Relaxation:
        """Return the change that takes the words at these places out, or adds the elements."""
        if self.words:
            return without_words(drop_in, self.directive, {self.words[place] for place in chosen}, reason)
        values = tuple(self.missing[place] for place in chosen)
        return Relaxation(self.directive, values, adds=True, reason=reason)


def looser_values(drop_in: DropIn, directive: str, host: HostFacts) -> tuple[Relaxation, ...]:
    """Return the looser words of a directive whose value is one word out of a few, strictest first."""
    kind = _kind(directive)
    if kind is None or not issubclass(kind, Choice):
        return ()
    current = parse_settings(drop_in.assignments, host)[kind.__name__]
    known = kind.known_words(host)
    looser = [word for word in known if kind(word).strictness() < current.strictness() and word != kind.default()]
    return tuple(Relaxation(directive, (word,), adds=False, reason="") for word in reversed(looser))


def pieces_of(drop_in: DropIn, directive: str, host: HostFacts) -> tuple[Pieces, ...]:
    """Return the ways to take a directive of a drop-in apart, those that leave most in place first."""
    count = sum(len(one.value.split()) for one in drop_in.settings if one.name == directive)
    # A path that is missing keeps a unit from starting, in a list that allows as well.
    words = words_that_deny(drop_in, directive, FILTERS) if count > 1 else ()
    found = [Pieces(directive, words=words)] if words else []
    kind = _kind(directive)
    if kind is not None:
        present = parse_settings(drop_in.assignments, host)[kind.__name__].elements()
        missing = tuple(one for one in kind.possible_elements(host) if one not in present)
        found += [Pieces(directive, missing=missing)] if missing else []
    return tuple(found)


def _kind(directive: str) -> type[Directive] | None:
    return all_directives().get(ALIASES.get(directive, directive))
