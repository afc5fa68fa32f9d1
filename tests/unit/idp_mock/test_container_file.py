"""The container file starts what the command understands, as nobody special, from hashed packages."""

from __future__ import annotations

import json
import re
from pathlib import Path

from idp_mock.cli import _parser, _refuse_unsafe

FILE = Path("deploy/docker/idp-mock.Dockerfile")


def test_the_command_is_one_that_starts() -> None:
    """The options parse and are not refused; no test option is among them."""
    command = json.loads(re.findall(r"^CMD (\[.*\])$", FILE.read_text(), re.MULTILINE)[0])
    assert command[:3] == ["python", "-m", "idp_mock"]
    options = _parser().parse_args(command[3:])
    _refuse_unsafe(options)
    assert not options.test_endpoints
    assert not options.auto_login


def test_it_runs_as_nobody_special_from_hashed_packages() -> None:
    """ASVS v5.0.0-13.2: no root, no unhashed package, no registry host of ours."""
    text = FILE.read_text()
    assert re.search(r"^USER (?!0\b|root)\S+$", text, re.MULTILINE)
    assert "--require-hashes" in text
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert images
    assert not any("/" in image for image in images)
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)
