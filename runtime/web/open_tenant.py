"""Requests without credentials, for the open tenant: from programs of this machine and no page.

A listener on a loopback address is still within reach of every page that a browser on the machine
shows: by a form or a script of a strange origin (cross-site request forgery), and by a name of its
own that suddenly means 127.0.0.1 (DNS rebinding). So a request without a key must name a loopback
host, must not come through a proxy, and must not say that another origin sent it. Browsers say so
in Sec-Fetch-Site (W3C Fetch Metadata) and Origin (RFC 6454); curl sends neither.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from domain.codes import Code
from runtime.settings import is_loopback
from runtime.web.problems import Problem, ProblemError

_OWN_SITES = frozenset({"", "none", "same-origin"})
"""same-site is not among them: all ports of localhost are one site, and not one owner's."""
_PROXY_HEADERS = frozenset({"forwarded", "x-real-ip", "via", "cf-connecting-ip", "true-client-ip"})
_PROXY_PREFIX = "x-forwarded-"


def require_home(request: Request) -> None:
    """This function will refuse a request that is not surely of this machine's own user.

    Raises:
        ProblemError: origin_refused, with the header that tells.
    """
    if request.client is None or not is_loopback(request.client.host):
        raise _refused("Authorization", "Requests from another machine need an API key")
    if not is_loopback(_host_of(f"//{request.headers.get('host', '')}")):
        raise _refused("Host", "Without an API key the host must be localhost or 127.0.0.1")
    for name in request.headers:
        if name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIX):
            raise _refused(name, "Requests through a proxy need an API key")
    if request.headers.get("sec-fetch-site", "") not in _OWN_SITES:
        raise _refused("Sec-Fetch-Site", "Requests of another site's page need an API key")
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{request.headers.get('host', '')}":
        raise _refused("Origin", "Requests of another origin's page need an API key")


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _refused(param: str, detail: str) -> ProblemError:
    return ProblemError(Problem(403, Code.ORIGIN_REFUSED, detail, param=param))
