"""Dead letters: what a fold refused, read, shown, and sent again once its cause is mended."""
