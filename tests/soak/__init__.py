"""Long tests: what the service does when it is killed, cut off from its database or its disk, and with much to do."""
