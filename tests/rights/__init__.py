"""The operator's rights, compared with what it did in the end-to-end tests of the same session: neither too few nor too many."""
