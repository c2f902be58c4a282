"""The only outgoing connections: registries, files, repositories, notifications, to public addresses only."""
