"""A whole federation on this machine, on cases that are generated here or given."""
