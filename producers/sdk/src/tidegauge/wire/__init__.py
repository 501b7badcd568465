"""The wire contract of Tidegauge as pure functions: bytes in, bytes out, no Kafka, no clock.

`identity` makes the key and the fingerprint of an event, `partition` finds its partition, and
`batch` encodes many events of one partition into one Kafka record. Whoever writes usage without
`Meter`, for example a gateway, uses these and stays compatible.
"""
