"""Encoder bundles, and how their inputs are read: the same code for sites and for the export. No torch."""
