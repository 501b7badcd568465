"""Bill compute time by the second, exact to the nanosecond."""

from tidegauge.helpers import measure_duration
from tidegauge.testing import MemoryMeter

meter = MemoryMeter()  # in production: Meter("localhost:9092", tenant="acme")

with measure_duration(meter, customer="cus_1", type="compute.seconds"):
    sum(range(1_000))

meter.assert_recorded(customer="cus_1", type="compute.seconds")
