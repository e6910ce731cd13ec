"""The sub-commands of `fedfin export`, one file each."""
