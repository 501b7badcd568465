"""Bill the tokens of every model behind LiteLLM: litellm.success_callback = [usage]."""

from tidegauge.helpers import LiteLLMUsage
from tidegauge.testing import MemoryMeter

meter = MemoryMeter()  # in production: Meter("localhost:9092", tenant="acme")
usage = LiteLLMUsage(meter)

answer = {"id": "1", "model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 7}}
usage({"user": "cus_1"}, answer, None, None)  # LiteLLM makes this call
meter.assert_recorded(customer="cus_1", type="llm.tokens_in", quantity=5)
