"""What a browser is told it may do with these pages: show them, and load from here alone."""

from __future__ import annotations

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "connect-src 'self'; "
    "img-src 'self' data:; "
    "form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""No script and no style inside a page: markup that somebody smuggles in stays without effect."""

HEADERS: dict[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie, HX-Request",
}
"""On every page. `nosniff` and `no-store` come from the envelope, as everywhere. The referrer goes
no further than to ourselves: with no-referrer a browser would send a form's Origin as null."""
