"""The HTTP server: verdicts, queue and alarms as JSON, and the static site."""
