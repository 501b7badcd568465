"""Bill the tokens of a language model from the answer of its client library."""

from types import SimpleNamespace

from tidegauge.helpers import record_tokens
from tidegauge.testing import MemoryMeter

meter = MemoryMeter()  # in production: Meter("localhost:9092", tenant="acme")
usage = SimpleNamespace(prompt_tokens=12, completion_tokens=34)
response = SimpleNamespace(id="chatcmpl-1", model="gpt", created=1_790_000_000, usage=usage)

record_tokens(meter, response, customer="cus_1")
meter.assert_recorded(customer="cus_1", type="llm.tokens_out", quantity=34)
