"""The aggregator's processes: between the link, the machines and the journal."""
