"""Settings for every test."""

import os

from hypothesis import settings

# Examples are not timed: the machines are shared. In CI they are the same at every run, so that a
# red run is about the change; elsewhere they are new ones, which is how faults are found.
settings.register_profile("workbench", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("workbench")
