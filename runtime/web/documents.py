"""/docs and /openapi.json; both describe a server's routes and are no part of them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse

from runtime.web import docs_page

router = APIRouter(include_in_schema=False, redirect_slashes=False)
_CACHE = "public, max-age=300"


@router.get("/openapi.json")
async def get_openapi(request: Request) -> JSONResponse:
    """The OpenAPI document."""
    return JSONResponse(request.app.openapi(), headers={"Cache-Control": _CACHE})


@router.get("/docs")
async def get_docs(request: Request) -> HTMLResponse:
    """The same for people."""
    return HTMLResponse(
        docs_page.render(request.app.openapi()),
        headers={
            "Cache-Control": _CACHE,
            "Content-Security-Policy": docs_page.CONTENT_SECURITY_POLICY,
        },
    )
