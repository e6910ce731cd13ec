"""`fedfin edge doctor`: this machine, this site and its way to the others, one thing after the other."""
