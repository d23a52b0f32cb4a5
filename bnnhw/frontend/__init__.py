"""Readers of trained networks, one file a source."""

from bnnhw.frontend.yaml_net import expected_file, load, read_topology, recipe_names, zoo_names

__all__ = ["expected_file", "load", "read_topology", "recipe_names", "zoo_names"]
