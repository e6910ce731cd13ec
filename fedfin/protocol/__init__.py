"""The protocol: pure functions and state machines; no I/O, no clock, no randomness."""
