"""The shapes of the catalogue parts `wallet` and `suspicions`."""

from __future__ import annotations

from dataclasses import replace

from domain.document_shape import (
    Field,
    Kind,
    Shape,
    boolean_field,
    decimal_field,
    list_field,
    object_field,
    whole_field,
)
from domain.emergence_rules.rules import CREDITS_MAX, HOURS_MAX
from domain.suspicions import AMOUNT_HOURS_DEFAULT, COUNT_MAX, RULES_MAX, SuspicionKind
from domain.wallet_terms import APPROVAL_HOURS_DEFAULT, PACKAGES_MAX

_PACKAGE = Shape(
    "package",
    "A quantity of credits with a price of its own.",
    (
        whole_field("credits", "Credits bought.", minimum=1, maximum=CREDITS_MAX),
        decimal_field("price", "What they cost together, in major units."),
    ),
)
_WALLET = Shape(
    "wallet",
    "What credits are and cost.",
    (
        Field(
            "currency",
            Kind.TEXT,
            "ISO 4217 code of everything paid into wallets and charged to them; it stays.",
            rule="an ISO 4217 code, for example USD",
            pattern="[A-Z]{3}",
        ),
        decimal_field("credit_price", "List price of one credit, in major units."),
        whole_field(
            "signup_credits",
            "Credits that a new customer is given, once.",
            minimum=0,
            maximum=CREDITS_MAX,
            default="0",
        ),
        whole_field(
            "approval_hours",
            "How long a charge may wait for its approval.",
            minimum=1,
            maximum=HOURS_MAX,
            default=str(APPROVAL_HOURS_DEFAULT),
        ),
        boolean_field(
            "refund_on_reversal",
            "Whether a charge whose evidence goes away in time is given back.",
            default=True,
        ),
        list_field(
            "packages", "Quantities that do not cost their list price.", PACKAGES_MAX, _PACKAGE
        ),
    ),
)


def _rule(kind: SuspicionKind, meaning: str, *fields: Field) -> Shape:
    key = Field("key", Kind.TEXT, "Name of the rule; a suspicion carries it.")
    told = Field("kind", Kind.CHOICE, "What the rule looks at.", choices=(kind,))
    return Shape(kind, meaning, (key, told, *fields))


def _count(name: str, meaning: str) -> Field:
    return whole_field(name, meaning, minimum=1, maximum=COUNT_MAX)


def _hours(meaning: str, *, default: str = "") -> Field:
    return whole_field("within_hours", meaning, minimum=1, maximum=HOURS_MAX, default=default)


_RULES = (
    _rule(
        SuspicionKind.FAILED_ATTEMPTS,
        "Many charges or top-ups of a customer that failed.",
        _count("attempts", "From how many on."),
        _hours("The time in which they happen."),
    ),
    _rule(
        SuspicionKind.AMOUNT_MISMATCH,
        "A top-up whose amount is not on the price list.",
        _hours(
            "For how long further ones belong to the same suspicion.",
            default=str(AMOUNT_HOURS_DEFAULT),
        ),
    ),
    _rule(
        SuspicionKind.REFUND_RATIO,
        "Many refunds for the charges of the same time.",
        whole_field("percent", "From how many of a hundred on.", minimum=1, maximum=100),
        _count("charges_min", "Below so many charges nothing is said."),
        _hours("The time that is looked at."),
    ),
    _rule(
        SuspicionKind.VELOCITY,
        "Many charges of a customer.",
        _count("charges", "From how many on."),
        _hours("The time in which they happen."),
    ),
    _rule(
        SuspicionKind.SCORE_JUMP,
        "A node's decimal that rises to just over a threshold.",
        Field("field", Kind.TEXT, "Declared decimal node field."),
        decimal_field("threshold", "What has to be passed."),
        decimal_field("margin", "How far above the threshold still is just over it."),
        decimal_field("rise", "By how much the field rises at least."),
        _hours("How long before the earlier report was received at most."),
    ),
)
WALLET_FIELD = object_field("wallet", "What credits are and cost.", _WALLET)
SUSPICIONS_FIELD = replace(
    list_field("suspicions", "What looks like misuse.", RULES_MAX, *_RULES), told_by="kind"
)
