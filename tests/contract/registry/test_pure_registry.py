"""The registry as a fold, without a log and without a server."""

from __future__ import annotations

import pytest

from tests.contract.registry.cases import RegistryCases
from tests.support.registries import PureDoor


class TestPureRegistry(RegistryCases):
    @pytest.fixture
    def door(self) -> PureDoor:
        return PureDoor()
