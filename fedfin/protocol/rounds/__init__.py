"""The aggregator's side of the protocol: machine.py decides, states.py says what is legal when."""
