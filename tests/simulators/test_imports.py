"""Importing the simulators costs nothing that not everybody needs."""

import subprocess
import sys

HEAVY = ("torch", "pandas", "pyarrow", "sasmodels", "pyFAI", "scipy", "matplotlib")


def test_import_is_light():
    code = (
        "import sys, simulators, simulators.scenarios, simulators.instrument, simulators.recorded\n"
        "from simulators.scenarios import make_scenario; make_scenario('annealing')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
