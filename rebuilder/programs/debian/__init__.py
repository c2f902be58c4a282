"""Reading Debian packages for what they say of their own build."""
