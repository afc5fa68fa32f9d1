"""`python -m idp_mock`: the same as the `idp-mock` command."""

from __future__ import annotations

from idp_mock.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
