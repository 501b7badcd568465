"""HTTP as both of our servers speak it: one form of errors, of answers, of documents, of keys."""
