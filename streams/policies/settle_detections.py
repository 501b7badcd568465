"""Policy: what became of a charge is told to the emergence fold, as an event of its project.

The fold then knows which tiers are paid for, may be offered again, or wait for a fall and a rise.
Repeated and outdated settlements change nothing there, so sending one twice is harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.wishes import settlements_of
from runtime.node_events import NodeEventSender, settlement_event
from schemas.command_wire import from_wire_books_facts
from schemas.topics import ACCOUNT_FACTS
from streams.policies.agent import Policy

if TYPE_CHECKING:
    from domain.books.facts import BooksFacts
    from runtime.node_events import NodeEvent
    from runtime.settings import Settings


def new_policy(settings: Settings) -> Policy[BooksFacts, NodeEvent]:
    """This function will make the policy of one worker."""
    sender = NodeEventSender(settings)
    return Policy(
        name="settle_detections",
        topic=ACCOUNT_FACTS,
        decode=from_wire_books_facts,
        react=events_of,
        send=sender.send_all,
    )


def events_of(facts: BooksFacts) -> list[NodeEvent]:
    """This function will say what a facts record of the books means for projects.

    Raises:
        Rejected: state_corrupt, for a fact that is malformed.
    """
    return [settlement_event(settled) for settled in settlements_of(facts)]
