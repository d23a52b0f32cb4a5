"""What a network costs before synthesis."""
