"""A catalogue version as the emergence fold uses it, looked up by code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.emergence_rules.expressions import fields_named
from domain.emergence_rules.rules import NO_RULES, EmergenceRules, Terms
from domain.suspicions import ScoreJump

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of one catalogue version.

    Args:
        version: Its number; 0 where a tenant has published none.
        sha256: Its hash; empty then.
        rules: The rules.
        terms: Terms by code, of tiers and bundles.
        members: Tiers of each bundle, by the bundle's code.
        shown: Fields that the evidence of a tier shows: those that gates and condition name.
        refunds: Whether a charge whose evidence goes away in time is given back.
        jumps: Suspicion rules that look at nodes.
    """

    version: int
    sha256: str
    rules: EmergenceRules
    terms: Mapping[str, Terms]
    members: Mapping[str, tuple[str, ...]]
    shown: Mapping[str, frozenset[str]]
    refunds: bool
    jumps: tuple[ScoreJump, ...]

    @classmethod
    def of(cls, catalogue: Catalogue | None) -> Rulebook:
        """Return the rulebook of a catalogue; without one there are no rules."""
        rules = NO_RULES if catalogue is None else catalogue.emergence
        wallet = None if catalogue is None else catalogue.wallet
        guards = frozenset[str]().union(*(fields_named(gate.when) for gate in rules.gates))
        return cls(
            version=0 if catalogue is None else catalogue.version,
            sha256="" if catalogue is None else catalogue.sha256,
            rules=rules,
            terms={terms.code: terms for terms in rules.terms},
            members={bundle.terms.code: bundle.tiers for bundle in rules.bundles},
            shown={tier.terms.code: guards | fields_named(tier.when) for tier in rules.tiers},
            refunds=wallet is None or wallet.refund_on_reversal,
            jumps=()
            if catalogue is None
            else tuple(rule for rule in catalogue.suspicions if isinstance(rule, ScoreJump)),
        )


NO_RULEBOOK = Rulebook.of(None)
