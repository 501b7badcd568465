"""The `tidegauge` command: puts the rooms together; owns no rule."""
