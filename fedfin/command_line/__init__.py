"""The `fedfin` command: its groups, its options, and how it tells of long work."""
