"""Our rooms are root packages with common names: nobody else may bring the same ones."""

from importlib.metadata import packages_distributions

import pytest

from tests.support import checkout

OWNERS = dict.fromkeys(checkout.ROOMS, "tidegauge") | {"tidegauge": "tidegauge-sdk"}


@pytest.mark.parametrize(("package", "owner"), OWNERS.items())
def test_a_root_name_is_ours_alone(package: str, owner: str) -> None:
    # An installed wheel names its owner here, an editable install names nobody.
    assert set(packages_distributions().get(package, [])) <= {owner}


@pytest.mark.parametrize("package", ["tests", "benchmarks", "deploy"])
def test_nobody_installs_a_folder_of_the_checkout(package: str) -> None:
    assert package not in packages_distributions()
