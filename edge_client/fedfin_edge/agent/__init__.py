"""The agent: one site in one federation, over the link, durable across restarts."""
