"""Climbs from the framework's saved sums to golden and to the RTL, and says where a first difference is."""
