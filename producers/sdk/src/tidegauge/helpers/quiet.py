"""Recording that never disturbs the host."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from tidegauge.meter import Meter
from tidegauge.rare_log import RareLog

_refusals: Final = RareLog()
_Result = TypeVar("_Result")


def quietly(action: Callable[[], _Result]) -> _Result | None:
    """This function will do something and log what it raises.

    Args:
        action: What to do.

    Returns:
        Its result, or None when it raised.
    """
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - usage must not break what is used
        _refusals.error(error)
        return None


def record_quietly(
    meter: Meter,
    *,
    customer: str | None,
    type: str,  # noqa: A002 - as in record
    quantity: object,
    dimensions: Mapping[str, str] | None,
) -> None:
    """This function will record an event, unless there is no customer to record it for.

    Args:
        meter: Where to.
        customer: Who used it; None is nobody.
        type: The event type.
        quantity: How much.
        dimensions: What may be grouped by.
    """
    if customer is None:
        return
    quietly(
        lambda: meter.record(
            customer=customer,
            type=type,
            quantity=quantity,  # type: ignore[arg-type] # record checks it, and says what is wrong
            dimensions=dimensions,
        )
    )
