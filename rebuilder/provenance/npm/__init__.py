"""What npm's registry attests: signatures and provenance."""
