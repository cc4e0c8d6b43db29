"""A real browser, Debian's Chromium without a window, for tests of pages."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

_INSTALL = "apt-get install --option DPkg::Lock::Timeout=900 --yes --no-install-recommends chromium"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; root installs it where it is absent.

    Skips where it cannot start, and fails there under VIDCLS_REQUIRE_BROWSER or CI.
    """
    program, why = _program()
    if program is None:
        reason = f"no Chromium: {why}; install chromium, or run the tests as root"
        if os.environ.get("VIDCLS_REQUIRE_BROWSER") or os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            # The sandbox cannot be started by root; WebGL is computed on the CPU.
            args=["--no-sandbox", "--enable-unsafe-swiftshader"],
        )
        yield browser
        browser.close()


def _program() -> tuple[str | None, str]:
    """Path of the program, or why there is none."""
    if (program := shutil.which("chromium")) is not None:
        return program, ""
    if os.geteuid() != 0:
        return None, "it is not installed"
    # Test processes come here side by side: one installs, the others wait for it.
    with (Path(tempfile.gettempdir()) / "vidcls-chromium-packages.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for command in (_INSTALL, f"apt-get update && {_INSTALL}"):
            if (program := shutil.which("chromium")) is not None:
                return program, ""
            done = subprocess.run(
                ["bash", "-c", command],
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                check=False,
            )
    return shutil.which("chromium"), done.stderr[-300:]
