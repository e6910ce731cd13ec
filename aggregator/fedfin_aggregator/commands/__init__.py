"""The sub-commands of `fedfin aggregator`, one file each."""
