"""The steps of a line as documents show them: what was included comes first, in words.

The steps in a content of a graduated or a volume price hold only what is charged, and contents
never change. What they leave out of the quantity of the line is what was included.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.invoice import LineStep
from domain.money import exact_text
from domain.pricing.graduated import Graduated
from domain.pricing.price import FIXED_LABELS, FREE_LABEL
from domain.pricing.volume import Volume

if TYPE_CHECKING:
    from domain.invoice import Line

_FORMS = (Graduated.form, Volume.form)
_PART = re.compile(r", ([0-9]+) of ([0-9]+) days(, [0-9]+ times)?$")
"""What Price.charge and an add-on taken several times put behind a label."""
_TEXT_ERROR = Fraction(1, 10**12)
"""More than the quantities of a line's steps can lose as text of 18 places."""


def shown_steps(line: Line) -> tuple[LineStep, ...]:
    """This function will return the steps of a line, led by the units that were included."""
    included = _included(line) if line.form in _FORMS else Fraction(0)
    if included <= _TEXT_ERROR:
        return line.steps
    text = exact_text(round(included, 9))
    return (LineStep("included, bounds count above it", text, "0", "1", "0"), *line.steps)


def _included(line: Line) -> Fraction:
    """Return how much of the quantity no step has; 0 where it cannot be known."""
    free = charged = Fraction(0)
    part = None
    for step in line.steps:
        if step.label.startswith(FREE_LABEL):
            free += Fraction(step.quantity)
        elif not step.label.startswith(FIXED_LABELS):
            charged += Fraction(step.quantity)
            part = _PART.search(step.label)
    quantity = Fraction(line.quantity) - free
    if part is not None and charged:
        # A part of a period prices part of a level, but all of what adds up; and a content does
        # not say which it was. It did add up where a level would have been charged beyond itself.
        share = Fraction(int(part[1]), int(part[2]))
        if charged / share <= quantity + _TEXT_ERROR:
            return Fraction(0)
    return quantity - charged
