"""From archive and reporting system to features: images and reports in, keyed hashes and features kept."""
