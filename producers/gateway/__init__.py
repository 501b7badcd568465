"""The HTTP gateway: usage and node events in, for systems that cannot speak Kafka."""
