"""The control messages, closed and typed, by what they are about; channels.py says which travel where."""
