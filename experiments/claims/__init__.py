"""Verdicts on the paper's claims from finished runs, by the rules of docs/claims.md."""
