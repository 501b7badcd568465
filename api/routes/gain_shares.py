"""/gainshare, /kpi-baselines, /kpi-measurements: savings, and the share asked for them (S1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from api.backend import Backend
from api.bodies import read_object
from api.cursors import CursorPart, from_cursor, moment_and_text, only_text, to_cursor
from api.cursors import text as cursor_text
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import CustomerParameters, Text, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_gain_share import (
    BaselineRepresentation,
    GainShareReportRepresentation,
    GainShareRepresentation,
    MeasurementRepresentation,
    to_representation_baseline,
    to_representation_gain_share,
    to_representation_measurement,
    to_representation_report,
)
from api.routes.common import (
    BASE_PATH,
    COMMAND_RESPONSES,
    FIND_RESPONSES,
    READ_RESPONSES,
    act,
    new_router,
    object_body,
    present,
    text_field,
)
from domain.derived_ids import derived_id
from domain.gain_share import RunStatus, read_day
from domain.period import time_text
from projections.queries import gain_shares
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router("gain-share")
RUN_OPERATION = "POST /gainshare"
BASELINE_OPERATION = "POST /kpi-baselines"
_MEASUREMENT_OPERATION = "POST /kpi-measurements"
_RUNS, _BASELINES, _MEASUREMENTS = "gainshare", "kpi-baselines", "kpi-measurements"


class RunParameters(CustomerParameters):
    """Parameters of the list of runs."""

    status: RunStatus | None = Field(None, description="Only those in this status")


class KpiParameters(CustomerParameters):
    """Parameters of a list that belongs to KPIs."""

    metric: Text | None = Field(None, description="Only those of this KPI")


@router.post(
    "/gainshare",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Calculate savings and the share of them",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "customer": text_field("Whose savings; a live subscription must have gain-share"),
            "period_start": text_field("First day, for example 2024-01-01"),
            "period_end": text_field("Last day; it belongs to the period"),
            "share_pct": text_field("Percent, decimal text, within the catalogue's range"),
        },
        required=("customer", "period_start", "period_end", "share_pct"),
        example={
            "customer": "customer-1",
            "period_start": "2024-01-01",
            "period_end": "2024-12-31",
            "share_pct": "15.0",
        },
    ),
)
async def create_run(
    request: Request,
    response: Response,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
) -> GainShareRepresentation:
    """Pending approval; nothing is billed before somebody approves it."""
    fields = await read_object(request)
    fields.only(("customer", "period_start", "period_end", "share_pct"))
    run = await ask_for_run(
        backend,
        caller,
        idempotency_key=idempotency_key,
        customer=fields.text("customer"),
        start=read_day(fields, "period_start"),
        end=read_day(fields, "period_end"),
        share_pct=fields.text("share_pct"),
    )
    response.headers["Location"] = f"{BASE_PATH}/gainshare/{run}"
    return await run_in_threadpool(_find, backend, caller, run)


async def ask_for_run(
    backend: Backend,
    caller: Caller,
    *,
    idempotency_key: str,
    customer: str,
    start: date,
    end: date,
    share_pct: str,
) -> str:
    """This function will send RunGainShare and return the run's id when it is visible."""
    run = derived_id("gsr", caller.tenant, RUN_OPERATION, idempotency_key)
    await act(
        backend,
        caller,
        operation=RUN_OPERATION,
        idempotency_key=idempotency_key,
        kind="RunGainShare",
        body={
            "run": run,
            "customer": customer,
            "period_start": start.isoformat(),
            "period_end": end.isoformat(),
            "share_pct": share_pct,
        },
    )
    return run


@router.get("/gainshare", responses=READ_RESPONSES, summary="Gain-share runs, newest first")
def list_runs(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[RunParameters, Query()]
) -> ListRepresentation[GainShareRepresentation]:
    """Every run stays, whatever became of it."""
    after = from_cursor(parameters.cursor, kind=_RUNS, make=moment_and_text)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = gain_shares.list_runs(
            connection,
            limit=parameters.limit,
            after=after,
            customer=parameters.customer,
            status=None if parameters.status is None else parameters.status.value,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_gain_share(run) for run in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_RUNS, time_text(last.requested_at), last.run) if last else None,
    )


@router.get(
    "/gainshare/{run}",
    responses=FIND_RESPONSES,
    summary="One gain-share run",
    dependencies=[Depends(refuse_query)],
)
def get_run(backend: BackendDep, caller: CallerDep, run: str) -> GainShareRepresentation:
    """With savings KPI by KPI."""
    return _find(backend, caller, read_id(run))


@router.get(
    "/gainshare/{run}/report",
    responses=FIND_RESPONSES,
    summary="A run as an audit record",
    dependencies=[Depends(refuse_query)],
)
def get_report(backend: BackendDep, caller: CallerDep, run: str) -> GainShareReportRepresentation:
    """With the measurements it was made from, and whether they have the hashes it names."""
    run = read_id(run)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = gain_shares.find_run(connection, run=run)
        if found is None:
            raise not_found()
        measurements = gain_shares.measurements_of(connection, run=found)
    return to_representation_report(found, measurements)


@router.post(
    "/gainshare/{run}/approve",
    responses=COMMAND_RESPONSES,
    summary="Approve a run: its fee goes onto the next invoice",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body({}, example={}),
)
async def approve_run(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
    run: str,
) -> GainShareRepresentation:
    """Once: of two decisions the first one counts, the other is refused."""
    (await read_object(request)).only(())
    return await _decide(backend, caller, idempotency_key, "approve", read_id(run), None)


@router.post(
    "/gainshare/{run}/reject",
    responses=COMMAND_RESPONSES,
    summary="Reject a run: nothing is billed",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {"reason": text_field("Why; may be left out")},
        example={"reason": "the baseline of 2023 was an exception"},
    ),
)
async def reject_run(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
    run: str,
) -> GainShareRepresentation:
    """Once, as an approval; the savings may be calculated again."""
    fields = await read_object(request)
    fields.only(("reason",))
    reason = fields.text("reason") if "reason" in fields.values else None
    return await _decide(backend, caller, idempotency_key, "reject", read_id(run), reason)


async def _decide(
    backend: Backend,
    caller: Caller,
    idempotency_key: str,
    decision: str,
    run: str,
    reason: str | None,
) -> GainShareRepresentation:
    await act(
        backend,
        caller,
        operation=f"POST /gainshare/{decision}",
        idempotency_key=idempotency_key,
        kind={"approve": "ApproveGainShare", "reject": "RejectGainShare"}[decision],
        body=present(run=run, reason=reason),
    )
    return await run_in_threadpool(_find, backend, caller, run)


def _find(backend: Backend, caller: Caller, run: str) -> GainShareRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = gain_shares.find_run(connection, run=run)
    if found is None:
        raise not_found()
    return to_representation_gain_share(found)


@router.post(
    "/kpi-baselines",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Record a KPI's value before",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "customer": text_field("Whose"),
            "metric": text_field("KPI of the catalogue"),
            "baseline_value": text_field("Decimal text"),
            "cost_per_unit": text_field("Decimal text, major units of the customer's currency"),
            "multiplier": text_field("Decimal text; 1 when it is left out"),
            "effective_from": text_field("First day that is compared with it"),
        },
        required=("customer", "metric", "baseline_value", "cost_per_unit", "effective_from"),
        example={
            "customer": "customer-1",
            "metric": "availability",
            "baseline_value": "86.0",
            "cost_per_unit": "25000",
            "effective_from": "2024-01-01",
        },
    ),
)
async def create_baseline(
    request: Request, backend: BackendDep, caller: CallerDep, idempotency_key: IdempotencyKeyDep
) -> BaselineRepresentation:
    """A second one of the same day corrects the first, for runs that are made from then on."""
    fields = await read_object(request)
    fields.only(
        (
            *("customer", "metric", "baseline_value"),
            *("cost_per_unit", "multiplier", "effective_from"),
        )
    )
    baseline = await ask_for_baseline(
        backend,
        caller,
        idempotency_key=idempotency_key,
        customer=fields.text("customer"),
        metric=fields.text("metric"),
        baseline_value=fields.text("baseline_value"),
        cost_per_unit=fields.text("cost_per_unit"),
        multiplier=fields.text("multiplier", default="1"),
        effective_from=read_day(fields, "effective_from"),
    )
    return await run_in_threadpool(_find_baseline, backend, caller, baseline)


async def ask_for_baseline(
    backend: Backend,
    caller: Caller,
    *,
    idempotency_key: str,
    effective_from: date,
    **texts: str,
) -> str:
    """This function will send RecordBaseline and return the baseline's id when it is visible.

    Args:
        backend: Where commands go.
        caller: Who asks.
        idempotency_key: The caller's key of this wish.
        effective_from: First day that is compared with it.
        texts: customer, metric, baseline_value, cost_per_unit and multiplier.
    """
    baseline = derived_id("bas", caller.tenant, BASELINE_OPERATION, idempotency_key)
    await act(
        backend,
        caller,
        operation=BASELINE_OPERATION,
        idempotency_key=idempotency_key,
        kind="RecordBaseline",
        body={"baseline": baseline, "effective_from": effective_from.isoformat(), **texts},
    )
    return baseline


def _find_baseline(backend: Backend, caller: Caller, baseline: str) -> BaselineRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = gain_shares.find_baseline(connection, baseline=baseline)
    if found is None:
        raise not_found()
    return to_representation_baseline(found)


@router.get("/kpi-baselines", responses=READ_RESPONSES, summary="Baselines by id")
def list_baselines(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[KpiParameters, Query()]
) -> ListRepresentation[BaselineRepresentation]:
    """All that were recorded; a run names the one it took."""
    after = from_cursor(parameters.cursor, kind=_BASELINES, make=only_text)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = gain_shares.list_baselines(
            connection,
            limit=parameters.limit,
            after=after,
            customer=parameters.customer,
            metric=parameters.metric,
        )
    return ListRepresentation(
        data=[to_representation_baseline(baseline) for baseline in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_BASELINES, page.rows[-1].baseline) if page.has_more else None,
    )


@router.post(
    "/kpi-measurements",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Record what a KPI was on a day",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "customer": text_field("Whose"),
            "metric": text_field("KPI of the catalogue"),
            "value": text_field("Decimal text"),
            "measured_on": text_field("The day"),
        },
        required=("customer", "metric", "value", "measured_on"),
        example={
            "customer": "customer-1",
            "metric": "availability",
            "value": "90.0",
            "measured_on": "2024-03-01",
        },
    ),
)
async def create_measurement(
    request: Request, backend: BackendDep, caller: CallerDep, idempotency_key: IdempotencyKeyDep
) -> MeasurementRepresentation:
    """One value a day: another one replaces it in runs that are made from then on."""
    fields = await read_object(request)
    fields.only(("customer", "metric", "value", "measured_on"))
    customer, metric = fields.text("customer"), fields.text("metric")
    day = read_day(fields, "measured_on")
    await act(
        backend,
        caller,
        operation=_MEASUREMENT_OPERATION,
        idempotency_key=idempotency_key,
        kind="RecordMeasurement",
        body={
            "customer": customer,
            "metric": metric,
            "value": fields.text("value"),
            "measured_on": day.isoformat(),
        },
    )
    return await run_in_threadpool(_find_measurement, backend, caller, customer, metric, day)


def _find_measurement(
    backend: Backend, caller: Caller, customer: str, metric: str, day: date
) -> MeasurementRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = gain_shares.find_measurement(connection, customer=customer, metric=metric, day=day)
    if found is None:
        raise not_found()
    return to_representation_measurement(found)


@router.get(
    "/kpi-measurements", responses=READ_RESPONSES, summary="Measurements by customer, KPI and day"
)
def list_measurements(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[KpiParameters, Query()]
) -> ListRepresentation[MeasurementRepresentation]:
    """The value in force of each day."""
    after = from_cursor(parameters.cursor, kind=_MEASUREMENTS, make=_measurement_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = gain_shares.list_measurements(
            connection,
            limit=parameters.limit,
            after=after,
            customer=parameters.customer,
            metric=parameters.metric,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_measurement(each) for each in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(
            _MEASUREMENTS, last.customer, last.metric, last.measured_on.isoformat()
        )
        if last
        else None,
    )


def _measurement_key(parts: Sequence[CursorPart]) -> tuple[str, str, date]:
    customer, metric, day = parts
    return cursor_text(customer), cursor_text(metric), date.fromisoformat(cursor_text(day))
