"""`import surrogates` is cheap: the heavy libraries come with the modules that need them."""

import subprocess
import sys


def test_package_does_not_import_torch():
    code = "import surrogates, sys; raise SystemExit('torch' in sys.modules or 'pyro' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
