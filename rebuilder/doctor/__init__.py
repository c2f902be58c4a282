"""What this machine lacks, and how to mend it."""
