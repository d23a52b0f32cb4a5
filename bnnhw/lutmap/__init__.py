"""Dot products as netlists of LUTs."""
