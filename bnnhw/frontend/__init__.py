"""Readers of trained networks, one file a source."""

from bnnhw.frontend.yaml_net import load, read_topology

__all__ = ["load", "read_topology"]
