"""What the aggregator must not lose: the journal and the files beside it."""
