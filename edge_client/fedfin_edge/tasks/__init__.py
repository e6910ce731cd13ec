"""What a round asks of a site: one file per task."""
