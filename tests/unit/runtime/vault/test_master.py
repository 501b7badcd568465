"""Master keys: read from the setting, drawn, and bound to what they wrap."""

import pytest

from domain.codes import Code
from domain.errors import Fatal, Rejected
from runtime.vault.master import KEYS_MAX, MasterKeys, new_master_key, read_master_keys

SECRET = "A" * 43


def test_the_first_one_wraps_and_all_of_them_open() -> None:
    old, new = new_master_key("old"), new_master_key("new")
    wrapped = read_master_keys(old).wrap(b"secret", purpose=("data", "t"))
    masters = read_master_keys(f"{new}, {old}")
    assert masters.current == "new"
    assert masters.unwrap(wrapped, key_id="old", purpose=("data", "t")) == b"secret"


def test_what_was_wrapped_for_one_purpose_does_not_open_for_another() -> None:
    masters = read_master_keys(new_master_key("k"))
    wrapped = masters.wrap(b"secret", purpose=("data", "acme", "ada", "1"))
    for purpose in (("data", "acme", "ida", "1"), ("kept", "acme", "ada", "1"), ("data", "acme")):
        with pytest.raises(Fatal) as stopped:
            masters.unwrap(wrapped, key_id="k", purpose=purpose)
        assert stopped.value.code is Code.VAULT_KEY_WRONG


def test_no_two_wraps_are_alike() -> None:
    masters = read_master_keys(new_master_key("k"))
    wraps = {masters.wrap(b"secret", purpose=("data",)) for _ in range(1_000)}
    assert len({wrapped[:12] for wrapped in wraps}) == 1_000


def test_drawn_keys_differ() -> None:
    assert len({new_master_key("k") for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text",
    [
        *("", "k", ":" + SECRET, "k:", f"K:{SECRET}", f"k{SECRET}", f"{'k' * 33}:{SECRET}"),
        *(f"k:{SECRET[1:]}", f"k:{SECRET}A", f"k:{SECRET[:-1]}B", f"k:{SECRET},k:{SECRET}"),
        *(f"k:{SECRET},", ",".join(f"k{number}:{SECRET}" for number in range(KEYS_MAX + 1))),
    ],
)
def test_another_form_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read_master_keys(text)
    assert SECRET[:20] not in str(refused.value)


def test_padding_of_base64_may_be_there() -> None:
    assert isinstance(read_master_keys(f"k:{SECRET}="), MasterKeys)


def test_an_id_of_another_form_is_not_drawn() -> None:
    with pytest.raises(Rejected):
        new_master_key("No Spaces")
