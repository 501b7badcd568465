"""The OpenAPI document: what FastAPI finds out by itself, and our one form of errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from domain.codes import Code
from runtime.web.problems import MEDIA_TYPE

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "param", "request_id"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "description": "Where the code is explained"},
        "title": {"type": "string", "description": "What the code means"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "This case, for people"},
        "code": {"type": "string", "enum": [code.value for code in Code]},
        "param": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "description": "Parameter, header or body field that is meant",
        },
        "request_id": {"type": "string", "description": "Finds this request in the logs"},
        "command_id": {
            "type": "string",
            "description": "With command_timeout: the command whose outcome is not visible yet",
        },
        "results": {
            "type": "array",
            "items": {"type": "object"},
            "description": "With event_invalid: what became of each event",
        },
    },
}

PROBLEM_REFERENCE = "#/components/schemas/Problem"


def problem_response(description: str) -> dict[str, Any]:
    """This function will describe an answer that is a problem, for the OpenAPI document."""
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": PROBLEM_REFERENCE}}},
    }


def build(app: FastAPI) -> dict[str, Any]:
    """This function will return the OpenAPI document of an application."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    return document
