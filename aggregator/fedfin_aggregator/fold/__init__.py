"""The fold: exact sums and means of what sites send."""
