"""The networks, the game they play, and sampling from the result."""
