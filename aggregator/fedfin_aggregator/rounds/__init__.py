"""The arithmetic of rounds: judge, fold, close, publish. No network."""
