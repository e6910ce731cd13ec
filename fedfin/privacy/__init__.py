"""What may be told of patients: dimensions, clipping, noise, and the ledger of what was spent. numpy only."""
