"""Counts calls of a function, or measures how long they take."""

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeAlias, TypeVar, cast

from tidegauge.helpers.quiet import quietly, record_quietly
from tidegauge.meter import Meter

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

Customer: TypeAlias = str | Callable[..., str | None]
"""Who used it, or a function that finds it in the call's arguments; None is nobody."""


class Measure:
    """A decorator for functions and coroutine functions, and a context manager.

    Args:
        meter: Where events go.
        customer: Who uses it; a function of the call's arguments only for a decorator.
        type: The event type.
        dimensions: What may be grouped by.
        is_duration: Whether to record seconds, exact to the nanosecond, or 1 per call.
        even_failed: Whether a call that raises is usage as well.
    """

    def __init__(
        self,
        meter: Meter,
        *,
        customer: Customer,
        type: str,  # noqa: A002 - as in record
        dimensions: Mapping[str, str] | None = None,
        is_duration: bool,
        even_failed: bool,
    ) -> None:
        self._meter = meter
        self._customer = customer
        self._type = type
        self._dimensions = dimensions
        self._is_duration = is_duration
        self._even_failed = even_failed
        self._started_ns = 0

    def __call__(self, function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        """This function will wrap a function; what it returns and raises stays as it is."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_later(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
                started_ns = time.perf_counter_ns()
                try:
                    result = await function(*args, **kwargs)
                except BaseException:
                    self._record(started_ns, args, kwargs, is_failed=True)
                    raise
                self._record(started_ns, args, kwargs, is_failed=False)
                return result

            return cast("Callable[_Arguments, _Result]", measured_later)

        @functools.wraps(function)
        def measured(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            started_ns = time.perf_counter_ns()
            try:
                result = function(*args, **kwargs)
            except BaseException:
                self._record(started_ns, args, kwargs, is_failed=True)
                raise
            self._record(started_ns, args, kwargs, is_failed=False)
            return result

        return measured

    def __enter__(self) -> Self:
        """This function will start measuring; make a new object for each `with`."""
        self._started_ns = time.perf_counter_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """This function will record what the block used."""
        self._record(self._started_ns, (), {}, is_failed=error is not None)

    def _record(
        self,
        started_ns: int,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        is_failed: bool,
    ) -> None:
        if is_failed and not self._even_failed:
            return
        took_ns = time.perf_counter_ns() - started_ns
        customer = self._customer
        record_quietly(
            self._meter,
            customer=(
                customer
                if isinstance(customer, str)
                else quietly(lambda: customer(*args, **kwargs))
            ),
            type=self._type,
            quantity=Decimal(took_ns).scaleb(-9) if self._is_duration else 1,
            dimensions=self._dimensions,
        )


def count_calls(
    meter: Meter,
    *,
    customer: Customer,
    type: str,  # noqa: A002 - as in record
    dimensions: Mapping[str, str] | None = None,
    even_failed: bool = False,
) -> Measure:
    """This function will make a decorator or context manager that records 1 per call.

    Args:
        meter: Where events go.
        customer: Who uses it, or a function of the call's arguments.
        type: The event type.
        dimensions: What may be grouped by.
        even_failed: Whether a call that raises counts as well.

    Returns:
        The decorator; also for `with`.
    """
    return Measure(
        meter,
        customer=customer,
        type=type,
        dimensions=dimensions,
        is_duration=False,
        even_failed=even_failed,
    )


def measure_duration(
    meter: Meter,
    *,
    customer: Customer,
    type: str,  # noqa: A002 - as in record
    dimensions: Mapping[str, str] | None = None,
    even_failed: bool = True,
) -> Measure:
    """This function will make a decorator or context manager that records seconds.

    Args:
        meter: Where events go.
        customer: Who uses it, or a function of the call's arguments.
        type: The event type; its unit is the second, exact to the nanosecond.
        dimensions: What may be grouped by.
        even_failed: Whether the time of a call that raises counts as well.

    Returns:
        The decorator; also for `with`.
    """
    return Measure(
        meter,
        customer=customer,
        type=type,
        dimensions=dimensions,
        is_duration=True,
        even_failed=even_failed,
    )
