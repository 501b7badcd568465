"""Usage from where people already are: functions, ASGI applications, calls of language models.

None of these raises into the host: what cannot be recorded is counted by the meter and logged,
each code once a minute.
"""

from tidegauge.helpers.asgi import UsageMiddleware
from tidegauge.helpers.measure import Measure, count_calls, measure_duration
from tidegauge.helpers.tokens import LiteLLMUsage, Tokens, record_tokens, tokens_of

__all__ = [
    "LiteLLMUsage",
    "Measure",
    "Tokens",
    "UsageMiddleware",
    "count_calls",
    "measure_duration",
    "record_tokens",
    "tokens_of",
]
