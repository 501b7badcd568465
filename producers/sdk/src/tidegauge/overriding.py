"""`override` of Python 3.12, for a package that runs on 3.11 and needs nothing else."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

_Method = TypeVar("_Method", bound=Callable[..., Any])

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: _Method) -> _Method:
        """This function will return the method as it is; type checkers see the real one."""
        return method


__all__ = ["override"]
