"""Sums of which nobody sees a part: masks, shares, and what each party does with them (docs/secure-sums.md)."""
