"""What is trusted: the trust root, how it is renewed, and its authorities."""
