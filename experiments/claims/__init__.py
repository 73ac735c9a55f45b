"""Verdicts on the paper's claims from finished runs, by the rules of docs/claims.md."""

from experiments.claims.report import claims_text, write_claims
from experiments.claims.rules import judge
from experiments.claims.verdicts import Verdict

__all__ = ["Verdict", "claims_text", "judge", "write_claims"]
