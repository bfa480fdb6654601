"""The same training on a Ray cluster: preparation, training, sweeps and compiling, on a laptop or on fifty nodes."""
