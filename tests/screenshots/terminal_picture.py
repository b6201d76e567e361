"""What is on a terminal, as an SVG: real output with its carriage returns, erasures and colours, rendered as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape

CELL, LINE, BORDER = 8.43, 20, 18
COLOURS = {"31": "#f0897d", "32": "#77c596", "33": "#e0b050", "1": "#ffffff", "2": "#8b8e96"}
INK, PAPER = "#d8d8d4", "#1c1e22"
_PIECE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|(\r\n|\n|\r)|([^\x1b\r\n]+)")


@dataclass
class Screen:
    """Lines of cells: a character and its colour."""

    columns: int
    lines: list[list[tuple[str, str]]] = field(default_factory=lambda: [[]])
    _place: int = 0
    _colour: str = INK

    def write(self, text: str) -> None:
        """Take what a program wrote."""
        for match in _PIECE.finditer(text):
            parameters, command, movement, printed = match.groups()
            if movement:
                self._place = 0
                self.lines += [[]] if "\n" in movement else []
            elif command == "K":
                del self.lines[-1][self._place :]
            elif command == "m":
                self._colour = COLOURS.get(parameters, INK)
            elif printed:
                self._put(printed)

    def _put(self, printed: str) -> None:
        for character in printed:
            if self._place == self.columns:
                self.lines.append([])
                self._place = 0
            line = self.lines[-1]
            line[self._place : self._place + 1] = [(character, self._colour)]
            self._place += 1

    def svg(self) -> str:
        """Return the picture."""
        lines = self.lines[: max((place for place, line in enumerate(self.lines, 1) if line), default=1)]
        width, height = self.columns * CELL + 2 * BORDER, len(lines) * LINE + 2 * BORDER
        texts = [_text(line, BORDER + (place + 0.75) * LINE) for place, line in enumerate(lines)]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">'
            f'<rect width="100%" height="100%" rx="10" fill="{PAPER}"/>'
            '<g font-family="ui-monospace,\'DejaVu Sans Mono\',Menlo,Consolas,monospace" font-size="14" '
            f'xml:space="preserve">{"".join(texts)}</g></svg>\n'
        )


def _text(line: list[tuple[str, str]], y: float) -> str:
    spans, place = [], 0
    while place < len(line):
        colour, end = line[place][1], place
        while end < len(line) and line[end][1] == colour:
            end += 1
        words = "".join(character for character, _ in line[place:end])
        if words.strip():
            shown = escape(words).replace(" ", "\u00a0")  # browsers drop plain blanks, and would stretch the rest
            spans.append(
                f'<text x="{BORDER + place * CELL:.1f}" y="{y:.1f}" fill="{colour}" '
                f'textLength="{len(words) * CELL:.1f}">{shown}</text>'
            )
        place = end
    return "".join(spans)
