"""Reading compiled code: what ELF, Mach-O and PE files say about how they were made."""
