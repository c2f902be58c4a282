"""From evidence to a signed verdict: the one flow."""
