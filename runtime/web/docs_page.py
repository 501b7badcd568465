"""The page at /docs: all operations and error codes as plain HTML, without a script or a CDN.

Swagger UI would load its program from elsewhere; here and at customers there may be no elsewhere.
"""

from __future__ import annotations

import json
from html import escape
from typing import Any

from domain.codes import DESCRIPTIONS

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b2733;background:#fff}h2{margin-top:2.5rem;border-bottom:1px solid #d5dde5}"
    "code,pre{font:13px/1.45 ui-monospace,monospace;background:#f2f5f8;border-radius:4px}"
    "code{padding:.1em .3em}pre{padding:.7rem;overflow:auto}table{border-collapse:collapse;"
    "width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;"
    "border-bottom:1px solid #e6ebf0}.method{font-weight:600;color:#0b6b57}"
    "@media(prefers-color-scheme:dark){body{color:#dbe4ec;background:#12181f}"
    "code,pre{background:#1d2630}td,th,h2{border-color:#2c3845}.method{color:#5fd0b5}}"
)
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def render(document: dict[str, Any]) -> str:
    """This function will write the page of an OpenAPI document."""
    title = escape(document["info"]["title"])
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    codes = "".join(
        f'<tr id="{escape(code)}"><td><code>{escape(code)}</code></td><td>{escape(text)}</td></tr>'
        for code, text in DESCRIPTIONS.items()
    )
    schemas = "".join(
        f'<h3 id="schema-{escape(name)}">{escape(name)}</h3><pre>{_json(schema)}</pre>'
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title} {escape(document['info']['version'])}</h1>"
        f"<p>{escape(document['info']['description'])}</p>"
        '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
        f"<h2>Operations</h2>{operations}<h2>Error codes</h2><table>{codes}</table>"
        f"<h2>Schemas</h2>{schemas}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(_parameter(item) for item in operation.get("parameters", []))
    responses = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    )
    content = operation.get("requestBody", {}).get("content", {})
    media_type = next(iter(content), "")
    body = content.get(media_type, {})
    return (
        f'<h3><span class="method">{escape(method.upper())}</span>'
        f" <code>{escape(path)}</code></h3>"
        f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
        + (f"<table>{parameters}</table>" if parameters else "")
        + (f"<p>Body</p><pre>{_json(body['schema'])}</pre>" if body else "")
        + f"<pre>{escape(_curl(method, path, media_type, body))}</pre><table>{responses}</table>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    need = "required" if parameter.get("required") else "optional"
    return (
        f"<tr><td><code>{escape(parameter['name'])}</code></td>"
        f"<td>{escape(parameter['in'])}, {need}</td>"
        f"<td>{escape(parameter.get('description', ''))}</td></tr>"
    )


def _curl(method: str, path: str, media_type: str, body: dict[str, Any]) -> str:
    parts = [f'curl -X {method.upper()} "$API{path}"']
    if path.startswith("/api/"):
        parts.append('-H "Authorization: Bearer $KEY"')
    if body:
        parts.append(f'-H "Idempotency-Key: $(uuidgen)" -H "Content-Type: {media_type}"')
        parts.append(f"-d '{json.dumps(body['schema'].get('example', {}))}'")
    return " ".join(parts)


def _json(value: object) -> str:
    return escape(json.dumps(value, indent=2))
