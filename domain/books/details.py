"""The book of personal details: it keeps sealed texts in order and never sees what is inside.

Names, addresses and the like are sealed at the edge (runtime/vault) with a key of the customer
alone, and travel as opaque text. The book counts versions, keeps an e-mail address to one customer
by a token that says nothing, and closes when the customer is erased: the key is gone by then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from domain.books.facts import Fact, fact_of, fields_of_fact
from domain.books.personal import EMAIL, FIELDS, NONE, Details
from domain.books.records import Command, fields_of_command
from domain.codes import Code
from domain.errors import Rejected

if TYPE_CHECKING:
    from domain.books.state import TenantState
    from domain.canonical import Json
    from domain.fields import Fields

SEALED_LENGTH_MAX = 4_096
"""Characters of one sealed text: the longest field, an address, has 3,900."""
VERSIONS_MAX = 10_000
"""Versions of one customer's details: each stays in the tables for the invoices of its time."""

_SEALED = re.compile(r"tgs1\.[0-9]{1,9}\.[A-Za-z0-9_-]{38,}", re.ASCII)
"""The form that runtime/vault/seal.py gives: plain text cannot pass as sealed by mistake. Nonce
and tag alone make 38 characters."""
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def decide_set(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:  # noqa: ARG001 -- the protocol's form
    """This function will answer SetCustomerDetails: the details as they are from now on.

    Args:
        state: Books of the tenant.
        command: {customer, sealed: {field of FIELDS: sealed text}; a field that is not there is
            not known any more; email_digest: 64 hex digits, beside a sealed e-mail address}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CustomerDetailsSet.

    Raises:
        Rejected: command_invalid, customer_unknown, customer_erased or email_taken.
    """
    fields = fields_of_command(command, names=("customer", "sealed", "email_digest"))
    customer = fields.text("customer")
    sealed = _sealed(fields.object("sealed"))
    digest = _digest(fields, is_wanted=EMAIL in sealed)
    details = _known(state, customer)
    if details.is_erased:
        raise Rejected(Code.CUSTOMER_ERASED, f"customer {customer!r} was erased")
    if details.version >= VERSIONS_MAX:
        raise fields.refuse("sealed", f"was set {VERSIONS_MAX} times, which is the most")
    if state.email_digests.get(digest, customer) != customer:
        raise Rejected(Code.EMAIL_TAKEN, "another customer has this e-mail address")
    body: dict[str, Json] = {
        "customer": customer,
        "version": details.version + 1,
        "sealed": sealed,
        **({"email_digest": digest} if digest else {}),
    }
    return (fact_of("CustomerDetailsSet", body),)


def decide_erase(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:  # noqa: ARG001 -- the protocol's form
    """This function will answer EraseCustomer, which the edge sends when the key is deleted.

    Args:
        state: Books of the tenant.
        command: {customer}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CustomerErased, which holds nothing of the person; nothing when it was done before.

    Raises:
        Rejected: customer_unknown.
    """
    fields = fields_of_command(command, names=("customer",))
    customer = fields.text("customer")
    if _known(state, customer).is_erased:
        return ()
    return (fact_of("CustomerErased", {"customer": customer}),)


def apply_set(*, state: TenantState, fact: Fact) -> None:
    """This function will count the version and note whose address it is."""
    fields = fields_of_fact(fact)
    customer = fields.text("customer")
    version = fields.integer("version", minimum=1, maximum=VERSIONS_MAX)
    state.details[customer] = Details(version=version)
    state.hold_email(customer, fields.text("email_digest") if _has_digest(fields) else "")


def apply_erased(*, state: TenantState, fact: Fact) -> None:
    """This function will close the details and let the address go."""
    customer = fields_of_fact(fact).text("customer")
    version = state.details.get(customer, NONE).version
    state.details[customer] = Details(version=version, is_erased=True)
    state.hold_email(customer, "")


def _known(state: TenantState, customer: str) -> Details:
    if customer not in state.customers:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer!r}")
    return state.details.get(customer, NONE)


def _sealed(fields: Fields) -> dict[str, str]:
    """Read sealed texts; the refusal of what is not sealed never repeats it."""
    fields.only(FIELDS)
    found: dict[str, str] = {}
    for name in fields.values:
        text = fields.document(name)
        if len(text) > SEALED_LENGTH_MAX or _SEALED.fullmatch(text) is None:
            raise fields.refuse(
                name, f"must be a sealed text of at most {SEALED_LENGTH_MAX} characters"
            )
        found[name] = text
    return found


def _digest(fields: Fields, *, is_wanted: bool) -> str:
    """Read the token of an address: there when an address is there, and only then."""
    if _has_digest(fields) != is_wanted:
        raise fields.refuse("email_digest", "goes beside a sealed e-mail address")
    if not is_wanted:
        return ""
    digest = fields.text("email_digest")
    if _DIGEST.fullmatch(digest) is None:
        raise fields.refuse("email_digest", "must be 64 lower-case hex digits")
    return digest


def _has_digest(fields: Fields) -> bool:
    return "email_digest" in fields.values
