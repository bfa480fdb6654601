"""The robot's side: it hears what people do and answers them (`policy.py` says how, `mujoco.py` moves)."""
