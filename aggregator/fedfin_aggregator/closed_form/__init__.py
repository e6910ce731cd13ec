"""What the aggregator solves from pooled second moments: imputation, experts and their blend. numpy only."""
