"""CAI Workbench core: Constitutional AI that people can write, run, train and audit.

Nothing in this package knows Streamlit. Imports point down (docs/architecture.md).
"""

__version__ = "0.1.0"
