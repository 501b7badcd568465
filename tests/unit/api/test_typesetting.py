"""Pages: remembered within bounds, made one at a time, and never by source of others."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from api import glyphs, typesetting
from domain.errors import Retryable
from tests.support import checkout


class TestRememberedPages:
    def test_are_made_once(self) -> None:
        made: list[int] = []

        def make() -> bytes:
            made.append(1)
            return b"page"

        assert typesetting.remembered("once", make) == typesetting.remembered("once", make)
        assert 1 == len(made)

    def test_that_wait_leave_threads_to_other_requests(self) -> None:
        """Forty that waited would stop the whole server; one that is remembered never waits."""
        known = typesetting.remembered("known", lambda: b"known")
        with ThreadPoolExecutor(typesetting.WAITING_MAX) as pool:
            with typesetting._rendering:
                waiting = [
                    pool.submit(typesetting.remembered, f"waits {number}", lambda: b"%PDF")
                    for number in range(typesetting.WAITING_MAX)
                ]
                while typesetting._places._value:
                    threading.Event().wait(0.001)
                with pytest.raises(Retryable):
                    typesetting.remembered("one more", lambda: b"%PDF")
                assert known == typesetting.remembered("known", lambda: b"other")
            assert all(page.result() == b"%PDF" for page in waiting)
        assert typesetting.remembered("one more", lambda: b"more") == b"more"

    def test_stay_within_their_bytes(self) -> None:
        part = typesetting.CACHE_BYTES_MAX // 4
        for number in range(12):
            typesetting.remembered(f"large {number}", lambda: bytes(part))
        assert sum(map(len, typesetting._pages.values())) <= typesetting.CACHE_BYTES_MAX


class TestFonts:
    @pytest.mark.parametrize(
        "letters", ["aÄ€₱", "яЖ", "مرحبا", "שלום", "漢字仮名", "한국", "ไทย", "हिन्दी"]
    )
    def test_write_the_scripts_that_their_readme_names(self, letters: str) -> None:
        assert all(glyphs.can_write(letter) for letter in letters)

    @pytest.mark.parametrize("letter", ["😀", "\U0001f9fe", "\ue000"])
    def test_know_what_they_lack(self, letter: str) -> None:
        assert not glyphs.can_write(letter)

    def test_have_the_sign_that_stands_for_what_they_lack(self) -> None:
        assert glyphs.can_write(typesetting.SHOWN_INSTEAD)

    def test_are_the_files_that_their_readme_names(self) -> None:
        import hashlib

        folder = checkout.ROOT / "api" / "fonts"
        readme = (folder / "README.md").read_text()
        for file in folder.glob("*.ttf"):
            assert f"`{hashlib.sha256(file.read_bytes()).hexdigest()}`" in readme, file.name
