"""The files of the pages: a closed list, read once, so that no address reaches another file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

from api.console.navigation import BASE_PATH
from runtime.web.problems import not_found

STATIC = Path(__file__).parent / "static"
MEDIA_TYPES: dict[str, str] = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "vendor/htmx.min.js": "text/javascript; charset=utf-8",
    "vendor/uPlot.iife.min.js": "text/javascript; charset=utf-8",
    "vendor/uPlot.min.css": "text/css; charset=utf-8",
}
"""What is served, and as what."""
FOR_GOOD = "public, max-age=31536000, immutable"
"""The address holds the content's hash, so what a browser has kept is never out of date."""
VERSION_LENGTH = 12

router = APIRouter(include_in_schema=False, redirect_slashes=False)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is served.

    Args:
        content: Its bytes.
        media_type: What they are.
        version: Beginning of their SHA-256.
    """

    content: bytes
    media_type: str
    version: str


@cache
def files() -> dict[str, StaticFile]:
    """This function will read all files, once in a process."""
    found = {}
    for name, media_type in MEDIA_TYPES.items():
        content = (STATIC / name).read_bytes()
        version = hashlib.sha256(content).hexdigest()[:VERSION_LENGTH]
        found[name] = StaticFile(content, media_type, version)
    return found


def address_of(name: str) -> str:
    """This function will return the address of a file, for templates."""
    return f"{BASE_PATH}/static/{files()[name].version}/{name}"


@router.get(f"{BASE_PATH}/static/{{version}}/{{name:path}}")
async def get_file(version: str, name: str) -> Response:
    """One file; an old version answers with the present one, and is not kept."""
    file = files().get(name)
    if file is None:
        raise not_found()
    return Response(
        file.content,
        media_type=file.media_type,
        headers={
            "Cache-Control": FOR_GOOD if version == file.version else "no-cache",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )
