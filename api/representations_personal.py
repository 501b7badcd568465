"""What personal details look like in answers."""

from __future__ import annotations

from pydantic import Field

from api.personal import Opened
from api.representations import TIME, Representation
from domain.period import time_text


class AddressRepresentation(Representation):
    """A postal address."""

    lines: list[str] = Field(description="Street and the like")
    city: str
    region: str = Field(description="State or province; empty where there is none")
    postal_code: str = Field(description="Empty where there is none")
    country: str = Field(description="ISO 3166-1 alpha-2 code")


class DetailsRepresentation(Representation):
    """Personal details of a customer; null is what nobody has told."""

    customer: str
    status: str = Field(
        description="open; none when nothing was ever told; erased when the customer's key is "
        "gone, for good; closed when this installation has no vault"
    )
    version: int = Field(description="How often they were set")
    set_at: str | None = Field(description=f"{TIME}; null when they never were")
    name: str | None
    email: str | None
    phone: str | None
    tax_id: str | None
    address: AddressRepresentation | None
    unreadable: list[str] = Field(
        description="Fields whose sealed text was altered or moved here from another customer"
    )


def to_representation_details(customer: str, opened: Opened) -> DetailsRepresentation:
    """This function will write opened details."""
    details = opened.details
    address = details.address
    return DetailsRepresentation(
        customer=customer,
        status=opened.status,
        version=opened.version,
        set_at=None if opened.set_at is None else time_text(opened.set_at),
        name=details.name or None,
        email=details.email or None,
        phone=details.phone or None,
        tax_id=details.tax_id or None,
        address=None
        if address is None
        else AddressRepresentation(
            lines=list(address.lines),
            city=address.city,
            region=address.region,
            postal_code=address.postal_code,
            country=address.country,
        ),
        unreadable=list(opened.broken),
    )
