"""What may be told of patients: clipping, noise, and the ledger of what was spent. numpy only."""
