"""What each page says, as values."""
