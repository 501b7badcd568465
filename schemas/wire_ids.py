"""Which numbers stand in the frames of our own schemas.

They are the fixed ids of schemas.registry, unless an external registry gave others: then a process
takes those before it encodes or decodes anything, and the fixed ones mean nothing any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.registry import SCHEMAS, SUPERSEDED, Schema

BUILT_IN: Mapping[int, int] = {
    schema.schema_id: schema.schema_id for schema in (*SCHEMAS, *SUPERSEDED)
}
"""Our id → the number in the frame; with the built-in registry they are the same."""

_in_force: list[Mapping[int, int]] = [BUILT_IN]


def in_force() -> Mapping[int, int]:
    """This function will return our id → the number in the frame; the same object until use()."""
    return _in_force[0]


def number_of(schema: Schema) -> int:
    """This function will return the number that stands in the frame of a schema of ours."""
    return _in_force[0][schema.schema_id]


def use(ids: Mapping[int, int]) -> None:
    """This function will set the numbers of this process.

    Args:
        ids: Our id → the number in the frame, for every schema of ours; no number twice.

    Raises:
        ValueError: A schema is left out, or two share a number.
    """
    if ids.keys() != BUILT_IN.keys() or len(set(ids.values())) != len(ids):
        raise ValueError("every schema of ours needs a number of its own")
    _in_force[0] = ids
