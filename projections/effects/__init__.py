"""Effects: what happens outside because of facts, or because time has passed; see the README."""
