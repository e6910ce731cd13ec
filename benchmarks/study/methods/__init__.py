"""The study's methods, one a file; `registry` has them by name."""
