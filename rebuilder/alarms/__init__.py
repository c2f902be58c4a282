"""Alarms about our own operation, and telling people about alarms of every kind."""
