"""The one error of this folder."""


class ServiceError(Exception):
    """A service cannot be had; the message ends with what to do next."""
