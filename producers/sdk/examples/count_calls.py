"""Bill each call of a function to the customer it was called for."""

from tidegauge.helpers import count_calls
from tidegauge.testing import MemoryMeter

meter = MemoryMeter()  # in production: Meter("localhost:9092", tenant="acme")


@count_calls(meter, customer=lambda customer, _document: customer, type="render")
def render(customer: str, document: str) -> str:
    """This function will do what is billed."""
    return f"{document} for {customer}"


render("cus_1", "invoice")
meter.assert_recorded(customer="cus_1", type="render", quantity=1)
