"""The aggregator: collects updates, folds them exactly, keeps every model version. numpy only."""
