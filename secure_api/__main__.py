"""`python -m secure_api` is the `secure-api` command."""

from secure_api.cli import main

main(prog_name="secure-api")
