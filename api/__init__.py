"""The read API, and the endpoints that send commands; see the README beside this file."""
