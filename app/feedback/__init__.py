"""What listeners say of the songs they were shown."""
