"""The three data structures: trained network, integer network, design. No other package is imported here."""
