"""Events on disk before `record` returns, so that a killed process loses none of them.

`options` says what can be chosen, `frames` what a segment looks like inside, `segments` owns the
folder and its files, and `buffer` puts it between recording threads and the flush thread.
"""

from tidegauge.spool.options import Spool

__all__ = ["Spool"]
