"""Everything that is wrong with a catalogue document, for the person who writes it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.catalogue import Catalogue, read_catalogue
from domain.catalogue_shape import CATALOGUE
from domain.document_shape import Field, Kind, Shape
from domain.emergence_rules.expressions import LENGTH_MAX as CONDITION_LENGTH_MAX
from domain.fields import TEXT_LENGTH_MAX, is_clean_text
from domain.sold import useless_discounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.canonical import Json
    from domain.errors import Rejected

HINT_LENGTH_MAX = 60
"""Characters of a misspelt word that is compared with the known ones: difflib takes quadratic
time, and nobody misspells a longer one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake.

    Args:
        place: Where, for example "catalogue.plans[0].prices[2].rate".
        reason: What, with the place; one sentence without a full stop.
        is_about_name: Whether the field's name is wrong and not its value.
    """

    place: str
    reason: str
    is_about_name: bool = False


def check_catalogue(document: Json) -> tuple[Catalogue | None, tuple[Problem, ...]]:
    """This function will read a catalogue document and list all that is wrong with it.

    Args:
        document: The document as JSON values; a catalogue is what parse_catalogue would make of
            it, and there is none exactly when there is a problem. What is published must be free
            of them; parse_catalogue still reads older versions with useless discounts.
    """
    catalogue, refusals = read_catalogue(document)
    if catalogue is not None:
        refusals = tuple(useless_discounts(plans=catalogue.plans, discounts=catalogue.discounts))
        if not refusals:
            return catalogue, ()
    problems = list(shape_problems(document))
    told = {problem.place for problem in problems}
    problems += [
        Problem(place, refusal.reason)
        for refusal in refusals
        if (place := _place_of(refusal)) not in told
    ]
    return None, tuple(problems)


def _place_of(refusal: Rejected) -> str:
    """Return the place that a refusal names; one of a whole object begins with it."""
    return str(refusal.fields.get("param") or refusal.reason.partition(" ")[0])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """This function will return a hint such as ': did you mean "meters"?', or nothing."""
    close = difflib.get_close_matches(word[:HINT_LENGTH_MAX], list(known), n=1)
    return f': did you mean "{close[0]}"?' if close else ""


def shape_problems(document: Json) -> tuple[Problem, ...]:
    """This function will return what the JSON Schema would find wrong too."""
    return tuple(_of_object(document, shape=CATALOGUE, place="catalogue"))


def _of_object(value: Json, *, shape: Shape, place: str) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem(place, f"{place} must be an object")
        return
    names = [field.name for field in shape.fields]
    for name in value:
        if name not in names:
            shown = name if is_clean_text(name) else ascii(name[:TEXT_LENGTH_MAX])
            where = f"{place}.{shown}"
            hint = did_you_mean(name, names)
            yield Problem(where, f"{where} is no known field{hint}", is_about_name=True)
    for field in shape.fields:
        where = f"{place}.{field.name}"
        if field.name in value:
            yield from _of_field(value[field.name], field=field, place=where)
        elif field.is_required:
            yield Problem(where, f"{where} is missing: it must be {rule_of(field)}")


def rule_of(field: Field) -> str:
    """This function will say what a field's value must be, to follow "must be"."""
    return f"one of {', '.join(field.choices)}" if field.choices else field.rule


def _of_field(value: Json, *, field: Field, place: str) -> Iterator[Problem]:
    if field.kind is Kind.OBJECTS:
        yield from _of_objects(value, field=field, place=place)
        return
    if field.kind is Kind.OBJECT:
        yield from _of_object(value, shape=field.items[0], place=place)
        return
    if not _is_right(value, field):
        hint = did_you_mean(value, field.choices) if isinstance(value, str) else ""
        yield Problem(place, f"{place} must be {rule_of(field)}{hint}")


def _of_objects(value: Json, *, field: Field, place: str) -> Iterator[Problem]:
    if not isinstance(value, list | tuple) or not (
        field.count_min <= len(value) <= field.count_max
    ):
        yield Problem(place, f"{place} must be {field.rule}")
        return
    for index, item in enumerate(value):
        where = f"{place}[{index}]"
        shape = _shape_of(item, field)
        if shape is None:
            yield _form_problem(item, field=field, place=where)
        else:
            yield from _of_object(item, shape=shape, place=where)


def _shape_of(item: Json, field: Field) -> Shape | None:
    if len(field.items) == 1 or not isinstance(item, Mapping):
        return field.items[0]
    told = item.get(field.told_by)
    return next((shape for shape in field.items if shape.name == told), None)


def _form_problem(item: Json, *, field: Field, place: str) -> Problem:
    """Say that a price has no form, or one that is unknown; the same of a suspicion's kind."""
    forms = [shape.name for shape in field.items]
    form = item.get(field.told_by) if isinstance(item, Mapping) else None
    where = f"{place}.{field.told_by}"
    if form is None:
        return Problem(where, f"{where} is missing: it must be one of {', '.join(forms)}")
    hint = did_you_mean(form, forms) if isinstance(form, str) else ""
    return Problem(where, f"{where} must be one of {', '.join(forms)}{hint}")


def _is_right(value: Json, field: Field) -> bool:
    match field.kind:
        case Kind.WHOLE:
            is_number = isinstance(value, int) and not isinstance(value, bool)
            return is_number and field.count_min <= value <= field.count_max  # type: ignore[operator]
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.TEXTS:
            return _are_texts(value, field)
        case Kind.PAIRS:
            return _are_pairs(value, field)
        case Kind.CONDITION:
            return isinstance(value, str) and is_clean_text(value, length_max=CONDITION_LENGTH_MAX)
        case _:
            return _is_text(value, field)


def _are_texts(value: Json, field: Field) -> bool:
    return (
        isinstance(value, list | tuple)
        and all(isinstance(item, str) and is_clean_text(item) for item in value)
        and len(set(value)) == len(value)
        and field.count_min <= len(value)
        and (not field.count_max or len(value) <= field.count_max)
    )


def _are_pairs(value: Json, field: Field) -> bool:
    return (
        isinstance(value, Mapping)
        and field.count_min <= len(value) <= field.count_max
        and all(is_clean_text(name) for name in value)
        and all(isinstance(text, str) and is_clean_text(text) for text in value.values())
    )


def _is_text(value: Json, field: Field) -> bool:
    if not isinstance(value, str) or not is_clean_text(value):
        return False
    if field.choices:
        return value in field.choices
    return not field.pattern or re.fullmatch(field.pattern, value, re.ASCII) is not None
