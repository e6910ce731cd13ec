"""Who may take part and who said what: keys, the charter, signed and sealed messages, the audit log."""
