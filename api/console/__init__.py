"""Pages for people: what happens, what waits for them, and where every figure comes from."""
