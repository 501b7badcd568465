"""Room of Tidegauge; see the README beside this file."""
