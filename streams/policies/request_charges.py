"""Policy: what the emergence fold found is put before the books: charges, withdrawals, suspicions.

The charge's id is the detection's id, and every command's id is derived from what it is about, so
a detection asks for one charge, however often it is read (domain/wishes.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.wishes import commands_of
from runtime.commands import CommandSender
from schemas.emergence_wire import from_wire_emergence_facts
from schemas.topics import EMERGENCE_FACTS_TOPIC
from streams.policies.agent import Policy

if TYPE_CHECKING:
    from domain.books.records import Command
    from domain.emergence.facts import EmergenceFacts
    from runtime.settings import Settings

ACTOR = "policy:request_charges"


def new_policy(settings: Settings) -> Policy[EmergenceFacts, Command]:
    """This function will make the policy of one worker."""
    sender = CommandSender(settings, actor=ACTOR)
    return Policy(
        name="request_charges",
        topic=EMERGENCE_FACTS_TOPIC,
        decode=from_wire_emergence_facts,
        react=commands_of,
        send=sender.send_all,
    )
