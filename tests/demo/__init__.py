"""The demonstration: from a machine to a cited answer, and what to look at next."""
