"""The documents of Sigstore and in-toto, read strictly."""
