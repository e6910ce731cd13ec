"""The operator of the broker: a kit to set one up."""
