"""A security-hardened API: who calls, what they may do, which rows, which fields, and what happened."""
