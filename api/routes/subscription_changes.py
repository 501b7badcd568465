"""POST /subscriptions/{subscription}/…: each change is one command; PUT takes the common ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from api.bodies import read_object
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import read_id, refuse_query
from api.representations_subscriptions import SubscriptionRepresentation
from api.routes.common import (
    COMMAND_RESPONSES,
    act,
    count_field,
    new_router,
    object_body,
    text_field,
)
from api.routes.subscriptions import find
from domain.books.changes import WHEN
from domain.fields import Fields
from runtime.web.problems import invalid

router = new_router("subscriptions")

_AS_OF = text_field("When it is made: RFC 3339; now when absent. It counts from 00:00 UTC")
_WHEN = {
    "type": "string",
    "enum": list(WHEN),
    "description": "now (when absent), or at the end of the period",
}
_PLAN = {"plan": text_field("Code of a plan of the catalogue in force")}
_SEATS = {"seats": {**count_field("Seats from then on", minimum=0), "maximum": 1_000_000}}
_ADD_ON = {
    "add_on": text_field("Code of an add-on of the subscription's catalogue version"),
    "quantity": count_field("How many from then on; 0 drops it; 1 when absent", minimum=0),
}
_TIMED = {"when": _WHEN, "as_of": _AS_OF}


@dataclass(frozen=True, slots=True)
class _Change:
    """One change.

    Args:
        path: Last segment of its address.
        kind: Its command.
        summary: What it does, for people.
        fields: Schema of each field of its body.
        required: Fields that must be there; the first says which change a PUT means.
        example: A body.
    """

    path: str
    kind: str
    summary: str
    fields: Mapping[str, dict[str, Any]]
    required: tuple[str, ...] = ()
    example: Mapping[str, object] = field(default_factory=dict)


_CHANGES = (
    _Change(
        "change-plan",
        "ChangePlan",
        "Upgrade or downgrade",
        {**_PLAN, **_TIMED},
        required=("plan",),
        example={"plan": "pro", "when": "period_end"},
    ),
    _Change(
        "seats",
        "ChangeSeats",
        "Change the number of seats",
        {**_SEATS, **_TIMED},
        required=("seats",),
        example={"seats": 12},
    ),
    _Change(
        "add-ons",
        "SetAddOn",
        "Add, change or drop an add-on",
        {**_ADD_ON, **_TIMED},
        required=("add_on",),
        example={"add_on": "support", "quantity": 1},
    ),
    _Change(
        "discounts",
        "GrantDiscount",
        "Grant a discount",
        {"discount": text_field("Code of a discount of the catalogue in force")},
        required=("discount",),
        example={"discount": "launch"},
    ),
    _Change(
        "cancel",
        "CancelSubscription",
        "Cancel, at the end of the day or of the period",
        _TIMED,
        example={"when": "period_end"},
    ),
    _Change("undo-cancel", "UndoCancel", "Take a cancellation back", {"as_of": _AS_OF}),
    _Change("pause", "PauseSubscription", "Pause: no fees, no usage", {"as_of": _AS_OF}),
    _Change("resume", "ResumeSubscription", "Resume after a pause", {"as_of": _AS_OF}),
)


def _add(change: _Change) -> None:
    """Add the route of one change."""

    async def endpoint(
        request: Request,
        backend: BackendDep,
        caller: CallerDep,
        subscription: str,
        idempotency_key: IdempotencyKeyDep,
    ) -> SubscriptionRepresentation:
        fields = await read_object(request)
        fields.only(change.fields)
        for name in change.required:
            if name not in fields.values:
                raise fields.refuse(name, "is missing")
        name = read_id(subscription)
        await act(
            backend,
            caller,
            operation=f"POST /subscriptions/{{subscription}}/{change.path}",
            idempotency_key=idempotency_key,
            kind=change.kind,
            body={**fields.values, "subscription": name},
        )
        return await run_in_threadpool(find, backend, caller, name)

    router.add_api_route(
        f"/subscriptions/{{subscription}}/{change.path}",
        endpoint,
        methods=["POST"],
        name=change.path.replace("-", "_"),
        responses=COMMAND_RESPONSES,
        summary=change.summary,
        description=f"Sends {change.kind} and answers when its effect is visible.",
        dependencies=[Depends(refuse_query)],
        openapi_extra=object_body(
            dict(change.fields), required=change.required, example=dict(change.example)
        ),
    )


for _each in _CHANGES:
    _add(_each)


@router.put(
    "/subscriptions/{subscription}",
    responses=COMMAND_RESPONSES,
    summary="Change plan, seats or an add-on (S3-R14)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {**_PLAN, **_SEATS, **_ADD_ON, **_TIMED}, example={"plan": "pro", "when": "now"}
    ),
)
async def put_subscription(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    subscription: str,
    idempotency_key: IdempotencyKeyDep,
) -> SubscriptionRepresentation:
    """Sends ChangePlan, ChangeSeats or SetAddOn: exactly one of them, for it is one decision."""
    fields = await read_object(request)
    change = _named(fields)
    fields.only(change.fields)
    name = read_id(subscription)
    await act(
        backend,
        caller,
        operation="PUT /subscriptions/{subscription}",
        idempotency_key=idempotency_key,
        kind=change.kind,
        body={**fields.values, "subscription": name},
    )
    return await run_in_threadpool(find, backend, caller, name)


def _named(fields: Fields) -> _Change:
    named = [
        change
        for change in _CHANGES
        if change.required
        and change.required[0] in {"plan", "seats", "add_on"} & set(fields.values)
    ]
    if len(named) != 1:
        raise invalid("body", "Name exactly one of plan, seats and add_on")
    return named[0]
