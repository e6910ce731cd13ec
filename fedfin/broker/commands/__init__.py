"""The commands of `fedfin broker`, one file for each."""
