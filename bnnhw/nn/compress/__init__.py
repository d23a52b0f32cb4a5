"""Network compression: pruning, weight sharing, mixed widths and factorisations of trained weights."""
