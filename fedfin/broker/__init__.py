"""The operator of the broker: a kit to set one up, and a check that says what is wrong with one."""
