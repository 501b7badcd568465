"""Keep events on disk until the broker has them, so that kill -9 loses none."""

import tempfile

from tidegauge import Spool
from tidegauge.testing import MemoryMeter

with (
    tempfile.TemporaryDirectory() as folder,  # in production: "/var/lib/checkout/usage"
    MemoryMeter(spool=Spool(folder, fsync="interval", when_full="raise"), safe=True) as meter,
):
    meter.record(customer="cus_1", type="request", quantity=1)
    meter.assert_recorded(customer="cus_1", type="request", quantity=1)
