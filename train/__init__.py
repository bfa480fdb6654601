"""How weights are made: data, tasks, metrics."""
