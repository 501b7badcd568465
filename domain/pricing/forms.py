"""The one place that knows all price forms; a new form is a file, a shape and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.pricing.block import block_from_fields
from domain.pricing.flat import flat_from_fields
from domain.pricing.graduated import graduated_from_fields
from domain.pricing.matrix import matrix_from_fields
from domain.pricing.package import package_from_fields
from domain.pricing.per_unit import per_unit_from_fields
from domain.pricing.percentage import percentage_from_fields
from domain.pricing.seats import seats_from_fields
from domain.pricing.tiered_flat import tiered_flat_from_fields
from domain.pricing.volume import volume_from_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.fields import Fields
    from domain.pricing.price import Price

FORMS: dict[str, Callable[[Fields], Price]] = {
    "flat": flat_from_fields,
    "seats": seats_from_fields,
    "per_unit": per_unit_from_fields,
    "graduated": graduated_from_fields,
    "volume": volume_from_fields,
    "tiered_flat": tiered_flat_from_fields,
    "package": package_from_fields,
    "block": block_from_fields,
    "percentage": percentage_from_fields,
    "matrix": matrix_from_fields,
}


def price_from_fields(fields: Fields) -> Price:
    """This function will read one price of a plan or an add-on.

    Raises:
        Rejected: With the place of what is wrong.
    """
    return FORMS[fields.choice("form", FORMS)](fields)
