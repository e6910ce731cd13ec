"""Fuzz targets: a file each, `fuzz(data)`, which may raise nothing; `python -m fuzz` runs them."""
