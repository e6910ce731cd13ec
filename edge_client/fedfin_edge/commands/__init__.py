"""The sub-commands of `fedfin edge`, one file each."""
