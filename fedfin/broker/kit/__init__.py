"""`fedfin broker kit`: certificates, mosquitto's configuration and rights, a systemd unit, a page that explains."""
