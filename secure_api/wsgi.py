"""The WSGI entry point for servers that import an application: `secure_api.wsgi:app`."""

from __future__ import annotations

import os

from secure_api.app import create_app
from secure_api.settings import load_settings

app = create_app(load_settings(os.environ))
