"""Tokens that a language model read and wrote, from whatever its client library answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tidegauge.helpers.quiet import quietly
from tidegauge.meter import Meter

TYPE_IN: Final = "llm.tokens_in"
TYPE_OUT: Final = "llm.tokens_out"

_NAMES_IN: Final = ("prompt_tokens", "input_tokens")
_NAMES_OUT: Final = ("completion_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one answer says of its usage.

    Attributes:
        tokens_in: Tokens that the model read.
        tokens_out: Tokens that it wrote.
        model: Its name, or an empty text.
        response_id: The answer's id, or an empty text.
        created_at: When it was made, or None.
    """

    tokens_in: int
    tokens_out: int
    model: str
    response_id: str
    created_at: datetime | None


def tokens_of(response: object) -> Tokens | None:
    """This function will read the usage of an answer, be it an object or a dict.

    It knows the names of OpenAI's chat completions (`prompt_tokens`), of its responses and of
    Anthropic's messages (`input_tokens`), and needs none of their libraries.

    Args:
        response: The answer, or the last part of a streamed one.

    Returns:
        The usage, or None when the answer has none, as parts of a stream.
    """
    usage = _get(response, "usage")
    if usage is None:
        return None
    tokens_in = _first_int(usage, _NAMES_IN)
    tokens_out = _first_int(usage, _NAMES_OUT)
    if tokens_in is None and tokens_out is None:
        return None
    created = _get(response, "created", "created_at")
    return Tokens(
        tokens_in=tokens_in or 0,
        tokens_out=tokens_out or 0,
        model=_text(_get(response, "model")),
        response_id=_text(_get(response, "id")),
        created_at=_instant(created),
    )


def record_tokens(
    meter: Meter,
    response: object,
    *,
    customer: str,
    type_in: str = TYPE_IN,
    type_out: str = TYPE_OUT,
    dimensions: Mapping[str, str] | None = None,
) -> Tokens | None:
    """This function will record what an answer of a language model used; it never raises.

    An answer with an id is counted once, however often it is reported: the ids of its events are
    made from it. Its model becomes a dimension.

    Args:
        meter: Where events go.
        response: The answer, an object or a dict.
        customer: Who asked.
        type_in: Event type of tokens that were read.
        type_out: Event type of tokens that were written.
        dimensions: More dimensions.

    Returns:
        What was found, or None when there was no usage in it.
    """
    found = quietly(lambda: tokens_of(response))
    if found is None:
        return None
    named = {"model": found.model, **(dimensions or {})} if found.model else dimensions
    for event_type, quantity, part in (
        (type_in, found.tokens_in, "in"),
        (type_out, found.tokens_out, "out"),
    ):
        if quantity > 0:
            _record(meter, found, customer, event_type, quantity, part, named)
    return found


def _record(
    meter: Meter,
    found: Tokens,
    customer: str,
    event_type: str,
    quantity: int,
    part: str,
    dimensions: Mapping[str, str] | None,
) -> None:
    quietly(
        lambda: meter.record(
            customer=customer,
            type=event_type,
            quantity=quantity,
            occurred_at=found.created_at,
            dimensions=dimensions,
            id=f"{found.response_id}:{part}" if found.response_id else None,
        )
    )


class LiteLLMUsage:
    """A success callback for LiteLLM: `litellm.success_callback = [LiteLLMUsage(meter)]`.

    LiteLLM calls whatever is callable with (kwargs, response, start, end); its parts of a stream
    have no usage and are passed over, the whole at its end is recorded.

    Args:
        meter: Where events go.
        customer: Finds the customer in LiteLLM's kwargs; by default `metadata["customer"]` of the
            call, else its `user`. None is nobody: the call is not recorded.
        type_in: Event type of tokens that were read.
        type_out: Event type of tokens that were written.
    """

    def __init__(
        self,
        meter: Meter,
        *,
        customer: Callable[[Mapping[str, Any]], str | None] | None = None,
        type_in: str = TYPE_IN,
        type_out: str = TYPE_OUT,
    ) -> None:
        self._meter = meter
        self._customer = customer or _litellm_customer
        self._type_in = type_in
        self._type_out = type_out

    def __call__(
        self, kwargs: Mapping[str, Any], response: object, start: object, end: object
    ) -> None:
        """This function will record one call; LiteLLM names the arguments.

        Args:
            kwargs: What the call was made with.
            response: Its answer.
            start: When it began; not used.
            end: When it ended; not used.
        """
        del start, end
        customer = quietly(lambda: self._customer(kwargs))
        if customer is not None:
            record_tokens(
                self._meter,
                response,
                customer=customer,
                type_in=self._type_in,
                type_out=self._type_out,
            )


def _litellm_customer(kwargs: Mapping[str, Any]) -> str | None:
    metadata = (kwargs.get("litellm_params") or {}).get("metadata") or {}
    user = kwargs.get("user") or (kwargs.get("optional_params") or {}).get("user")
    customer = metadata.get("customer") or user
    return customer if isinstance(customer, str) else None


def _get(thing: object, *names: str) -> object:
    for name in names:
        value = thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
        if value is not None:
            return value
    return None


def _first_int(usage: object, names: tuple[str, ...]) -> int | None:
    value = _get(usage, *names)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _instant(seconds: object) -> datetime | None:
    """This function will read a Unix time in seconds; whole seconds only reach a dict as int."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        return None
    return datetime.fromtimestamp(int(seconds), UTC)
