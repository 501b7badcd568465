"""Whose numbers are whose: a document is numbered by its own seller, and a prefix has one owner.

A customer's invoices and credit notes may come long after the catalogue in force has dropped the
seller they are of. So a seller is looked up in every version, and what a prefix once stood for it
stands for in every later one.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from domain.billing_terms import DEFAULT_TERMS
from domain.codes import Code
from domain.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domain.billing_terms import BillingTerms, Seller


def seller_named(key: str, *, newest_first: Iterable[BillingTerms]) -> Seller:
    """This function will return a seller as the newest version has it that has it at all.

    Args:
        key: Its key, as a document names it.
        newest_first: Terms of the published versions; read only as far as it takes.

    Returns:
        The seller; the default terms come last, for what is billed before the first version.

    Raises:
        Rejected: seller_unknown, when none has it: another's numbers are not for it.
    """
    for terms in chain(newest_first, (DEFAULT_TERMS,)):
        for seller in terms.sellers:
            if seller.key == key:
                return seller
    raise Rejected(Code.SELLER_UNKNOWN, f"no catalogue version has a seller {key!r}")


def owners_of(terms: BillingTerms) -> dict[str, tuple[str, str]]:
    """This function will return whose each prefix is: the key of its seller, and the field."""
    return {
        prefix: (seller.key, name)
        for seller in terms.sellers
        for name, prefix in seller.prefixes.items()
    }


def refused_prefixes(
    *, owners: Mapping[str, tuple[str, str]], after: BillingTerms
) -> Iterator[tuple[str, str]]:
    """This function will say which prefixes of a version stood for something else before.

    Args:
        owners: Whose the prefixes of an earlier version are (owners_of).
        after: Terms of the newer one.

    Yields:
        Place within the catalogue, and why.
    """
    for index, seller in enumerate(after.sellers):
        for name, prefix in seller.prefixes.items():
            key, kind = owners.get(prefix, (seller.key, name))
            if (key, kind) != (seller.key, name):
                was = f"{prefix!r} was the {kind} of seller {key!r}"
                why = f"{was}: a prefix stays with its seller and kind of document"
                yield f"billing.sellers[{index}].{name}", why
