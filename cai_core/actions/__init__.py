"""Every change of state a person can make. Each takes an actor, checks the role, and is journalled.

Pages and the command line write through nothing else; `tests/test_actions_only.py` walks their
imports. Autosaved drafts are checked but not journalled: they are not yet anybody's decision.
"""
