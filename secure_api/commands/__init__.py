"""The commands of `secure-api` that have a module of their own; `secure_api/cli.py` puts them together."""
