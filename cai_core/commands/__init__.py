"""The command line's commands: each reads its arguments, calls the core, and tells the result."""
