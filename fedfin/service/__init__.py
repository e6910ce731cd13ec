"""FedFIN as a service of systemd: its units, putting them there and away again, and telling systemd how it goes."""
