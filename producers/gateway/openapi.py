"""What the OpenAPI document says of the gateway's addresses.

Bodies are read by our own readers, which never make a float and name what they refuse, so their
schemas are written here and not derived from types.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from producers.gateway import asset_snapshots, cloudevents, frames
from producers.gateway.webhooks import DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from runtime.web import openapi
from runtime.web.openapi import problem_response
from tidegauge import limits

DESCRIPTION = (
    "Usage and node events in. 202 means that all in-sync replicas of the log have every event "
    "that the answer calls accepted; 503 delivery_unknown means that nobody knows, and the same "
    "ids may be sent again: an id counts once. Every error is application/problem+json."
)

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": limits.NAME_CHARACTERS_MAX}
_TEXTS: dict[str, Any] = {
    "type": "object",
    "maxProperties": limits.DIMENSIONS_MAX,
    "additionalProperties": {"type": "string"},
}
_QUANTITY: dict[str, Any] = {
    "description": "A number, exactly as written, or decimal text; 1 when it is left out",
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^[0-9]{1,14}(\.[0-9]{1,9})?$"},
    ],
}
_TIME: dict[str, Any] = {
    "type": "string",
    "format": "date-time",
    "description": "When it happened; send it, or a repeat differs from the first",
}
EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": _TEXT,
        "source": _TEXT,
        "type": _TEXT,
        "subject": {**_TEXT, "description": "The customer; or data.customer"},
        "time": _TIME,
        "data": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "customer": _TEXT,
                "quantity": _QUANTITY,
                "dimensions": _TEXTS,
                "properties": _TEXTS,
            },
        },
    },
    "example": {
        "specversion": "1.0",
        "id": "req-1",
        "source": "/checkout",
        "type": "llm.request",
        "subject": "customer-1",
        "time": "2026-01-31T12:00:00Z",
        "data": {"quantity": "12.5", "dimensions": {"model": "small"}},
    },
}
USAGE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "customer may be called customer_id, organization_id or tenant_id; type "
    "event_type or resource_type; quantity units; properties meta or metadata",
    "properties": {
        **dict.fromkeys(("customer", "customer_id", "organization_id", "tenant_id"), _TEXT),
        **dict.fromkeys(("type", "event_type", "resource_type"), _TEXT),
        **dict.fromkeys(("quantity", "units"), _QUANTITY),
        "tokens": {"type": "integer", "minimum": 0},
        "frames": {"type": "integer", "minimum": 0},
        **dict.fromkeys(("time", "occurred_at"), _TIME),
        "id": _TEXT,
        "source": {"type": "string", "maxLength": limits.NAME_CHARACTERS_MAX},
        "subscription_id": _TEXT,
        "dimensions": _TEXTS,
        "properties": _TEXTS,
        "meta": {"type": "object"},
        "metadata": {"type": "object"},
    },
    "example": {
        "customer": "customer-1",
        "type": "message",
        "quantity": 1,
        "id": "msg-1",
        "time": "2026-01-31T12:00:00Z",
    },
}
SNAPSHOT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "customer may be called customer_id or tenant_id; asset_count or "
    "site_breakdown must be there",
    "properties": {
        **dict.fromkeys(asset_snapshots.CUSTOMER, _TEXT),
        "id": _TEXT,
        "asset_count": {"type": "integer", "minimum": 0},
        "site_breakdown": {
            "type": "object",
            "maxProperties": asset_snapshots.SITES_MAX,
            "additionalProperties": {"type": "integer", "minimum": 0},
        },
        "captured_at": _TIME,
    },
    "example": {
        "customer": "customer-1",
        "asset_count": 150,
        "site_breakdown": {"site1": 50, "site2": 100},
        "captured_at": "2026-01-31T02:00:00Z",
    },
}
WEBHOOK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["data"],
    "additionalProperties": False,
    "properties": {
        "event_type": {"enum": ["node_update", "pulse"]},
        "time": _TIME,
        "data": {
            "type": "object",
            "properties": {"project_id": _TEXT, "node_id": _TEXT, "target_node": _TEXT},
        },
    },
    "example": {
        "event_type": "node_update",
        "data": {"project_id": "p-1", "node_id": "n-1", "fit_score": 0.95, "node_data": {}},
    },
}


def _body(**content: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "content": {name: {"schema": schema} for name, schema in content.items()},
        }
    }


def _header(name: str, description: str, *, is_required: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": is_required,
        "description": description,
        "schema": {"type": "string"},
    }


KEYED: dict[str, Any] = {"security": [{"ApiKey": []}]}
_REPEATABLE = _header(
    "Idempotency-Key", "The same key and body give the first answer, for ten minutes"
)
EVENTS_POST: dict[str, Any] = {
    **KEYED,
    "parameters": [
        _REPEATABLE,
        _header("Tidegauge-Atomic", "true: take all events or none of them"),
        _header(
            "Tidegauge-Backfill",
            "true: CloudEvents may be older than 35 days; the key needs usage:backfill",
        ),
        _header("Tidegauge-Traceparents", "W3C traceparents of the events, up to 32, by commas"),
        _header("traceparent", "The W3C traceparent of the request, when there are no others"),
        _header("Content-Encoding", "gzip, or nothing"),
    ],
    **_body(
        **{
            cloudevents.STRUCTURED: EVENT_SCHEMA,
            cloudevents.BATCH: {
                "type": "array",
                "items": EVENT_SCHEMA,
                "maxItems": cloudevents.EVENTS_MAX,
            },
            frames.MEDIA_TYPE: {"type": "string", "format": "binary"},
        }
    ),
}
USAGE_POST: dict[str, Any] = {
    **KEYED,
    "parameters": [_REPEATABLE],
    **_body(**{"application/json": USAGE_SCHEMA}),
}
SNAPSHOT_POST: dict[str, Any] = {
    **KEYED,
    "parameters": [_REPEATABLE],
    **_body(**{"application/json": SNAPSHOT_SCHEMA}),
}
S4_POST: dict[str, Any] = {
    **USAGE_POST,
    "parameters": [
        _REPEATABLE,
        {
            "name": "action",
            "in": "query",
            "required": True,
            "description": "What is wished",
            "schema": {"enum": ["log_usage"]},
        },
    ],
}
WEBHOOK_POST: dict[str, Any] = {
    "parameters": [
        _header(DELIVERY_HEADER, "Id of the delivery", is_required=True),
        _header(TIMESTAMP_HEADER, "Seconds since 1970 UTC", is_required=True),
        _header(
            SIGNATURE_HEADER,
            "v1= and the hex of HMAC-SHA256 over timestamp, full stop, body",
            is_required=True,
        ),
    ],
    **_body(**{"application/json": WEBHOOK_SCHEMA}),
}

Responses = dict[int | str, dict[str, Any]]
GET_RESPONSES: Responses = {
    200: {"description": "The answer", "content": {"application/json": {}}},
    400: problem_response("A parameter is malformed; param names it"),
    401: problem_response("No valid API key"),
    503: problem_response("A part is away; Retry-After says when to try again"),
    "default": problem_response("Any other error"),
}
POST_RESPONSES: Responses = {
    202: {"description": "The log has what was accepted", "content": {"application/json": {}}},
    400: problem_response("The request is malformed; param names the header or the body"),
    401: problem_response("No valid API key"),
    403: problem_response("The key lacks the scope, or the batch is another tenant's"),
    404: problem_response("There is no such address"),
    408: problem_response("The body took too long"),
    409: problem_response("The Idempotency-Key came with another body, or a frame is misrouted"),
    413: problem_response("The body, or the number of events, is too large"),
    415: problem_response("The body is of another type or encoding"),
    422: problem_response("No event was taken; results say why"),
    429: problem_response("The key sends more than it may; Retry-After says when to go on"),
    503: problem_response("Nothing was taken, or nobody knows: code and Retry-After say"),
    "default": problem_response("Any other error"),
}
WEBHOOK_RESPONSES: Responses = {
    **POST_RESPONSES,
    401: problem_response("The signature or the time is missing or wrong"),
    409: problem_response("The delivery was taken before"),
}
READY_RESPONSES: Responses = {
    200: {"description": "It can", "content": {"application/json": {}}},
    503: {"description": "It cannot; parts say why", "content": {"application/json": {}}},
}


def build(app: FastAPI) -> dict[str, Any]:
    """This function will return the OpenAPI document of the gateway."""
    document = openapi.build(app)
    document["components"]["securitySchemes"] = {
        "ApiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key: tg_live_<8>_<32>",
        }
    }
    return document
