"""Finds and runs external tools; knows nothing of networks."""
