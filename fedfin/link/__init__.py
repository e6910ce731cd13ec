"""The link to the broker: MQTT, TLS, login."""
