"""What tensors a plan's model has, how it starts, and the files it is kept in. numpy only."""
