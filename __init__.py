"""skelstream: what people do, from their skeletons, live.

Four rooms: `encoder` (the model), `stream` (the live path), `train` (how weights are made), `launch` (how it is
started).
"""

__version__ = "0.1.0"
