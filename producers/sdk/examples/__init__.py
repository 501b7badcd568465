"""Examples of ten lines each; the tests run them."""
