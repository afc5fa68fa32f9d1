"""The grant types, on Authlib's machinery, and the rules for an authorization request."""
