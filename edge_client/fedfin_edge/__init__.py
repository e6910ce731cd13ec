"""The edge client: a site's cases become features, features train the model, the model answers."""
