"""An exported model at work at a site. No torch."""
