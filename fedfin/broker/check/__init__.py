"""`fedfin broker check`: one probe after the other, each with a verdict and a remedy."""
