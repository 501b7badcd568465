"""Bill API calls and bytes of an ASGI application, such as FastAPI or Starlette."""

from fastapi import FastAPI
from fastapi.testclient import TestClient

from tidegauge.helpers import UsageMiddleware
from tidegauge.testing import MemoryMeter

meter = MemoryMeter()  # in production: Meter("localhost:9092", tenant="acme")
app = FastAPI()
app.add_middleware(UsageMiddleware, meter=meter, customer=lambda _scope: "cus_1")
app.get("/hello")(lambda: "world")

TestClient(app).get("/hello").raise_for_status()
meter.assert_recorded(customer="cus_1", type="api.bytes_out", quantity=len('"world"'))
