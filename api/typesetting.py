"""Pages of PDF by typst: our fonts alone, texts as data alone, the same bytes for the same input.

What typst is given are a template of ours, which is source, and one JSON text, which is data and
is never read as markup: a customer's name can neither change a page nor read a file. The fonts are
those of api/fonts and the ones in typst's own wheel; those of the machine are left out, because
they would make another page of the same document.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Literal

import typst

from domain.canonical import Json, sha256_hex
from domain.codes import Code
from domain.errors import Retryable

CACHE_BYTES_MAX = 16 * 1024 * 1024
"""Pages that are remembered, in bytes: some hundred; somebody who looks at one reloads it."""
WAITING_MAX = 4
"""Requests whose page is made or waits for its turn: each holds one of the 40 threads that all
other requests need too."""
PDF_A: Literal["a-3b"] = "a-3b"
"""PDF/A-3: for archives, and the one part of the norm that takes attachments of any kind."""
SHOWN_INSTEAD = "\ufffd"
"""What PDF/A pages show for a character that no font of ours has."""

_FONT_FILES = resources.files("api").joinpath("fonts")
_FONTS = typst.Fonts(font_paths=[str(_FONT_FILES)], include_system_fonts=False)
_rendering = threading.Lock()
"""One page is made at a time: it takes up to 0.1 s of a core, and there are other requests."""
_places = threading.BoundedSemaphore(WAITING_MAX)
_pages: OrderedDict[str, bytes] = OrderedDict()


class Template:
    """A template of this package.

    Args:
        name: File name within the package api.
    """

    def __init__(self, name: str) -> None:
        self.source = resources.files("api").joinpath(name).read_bytes()
        self.layout = sha256_hex(self.source.decode())[:12]
        """Changes with the template: clients remember a page for as long as it stays the same."""

    def typeset(
        self,
        data: Mapping[str, Json],
        *,
        at: datetime,
        attachment: str = "",
        is_archival: bool = False,
    ) -> bytes:
        """Lay data out as PDF.

        Args:
            data: What the template reads as json(bytes(sys.inputs.data)).
            at: The date of the file, so that it does not change with the clock.
            attachment: Text of a file that the template attaches; empty for none.
            is_archival: Whether to make PDF/A-3b. That refuses characters that no font of ours
                has; for an ordinary page typst shows boxes.

        Raises:
            typst.TypstError: A defect of the template.
        """
        text = json.dumps(data, ensure_ascii=False)
        inputs = {"data": text}
        if attachment:
            inputs["attachment"] = attachment
        page = typst.Compiler(self.source, font_paths=_FONTS, ignore_system_fonts=True).compile(
            format="pdf",
            sys_inputs=inputs,
            timestamp=at.astimezone(UTC).replace(microsecond=0),
            pdf_standards=PDF_A if is_archival else None,
        )
        if not isinstance(page, bytes):
            raise TypeError("typst made no page")
        return page


def remembered(name: str, make: Callable[[], bytes]) -> bytes:
    """This function will return a page that is known by name, or make it.

    Args:
        name: Names the bytes of the page, for all templates and tenants together.
        make: Makes it.

    Raises:
        Retryable: overloaded, when WAITING_MAX pages are made or wait.
    """
    page = _pages.get(name)
    if page is not None:
        return page
    if not _places.acquire(blocking=False):
        raise Retryable(Code.OVERLOADED, "too many pages at once", retry_after_ms=1_000)
    try:
        with _rendering:
            return _made(name, make)
    finally:
        _places.release()


def _made(name: str, make: Callable[[], bytes]) -> bytes:
    page = _pages.get(name)  # another request may have made it while this one waited
    if page is None:
        page = _pages[name] = make()
        while len(_pages) > 1 and sum(map(len, _pages.values())) > CACHE_BYTES_MAX:
            _pages.popitem(last=False)
    return page
