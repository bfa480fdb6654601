"""How the drawn actor moves: the body, what it can do, and the steps and gestures that the actions are made of."""
