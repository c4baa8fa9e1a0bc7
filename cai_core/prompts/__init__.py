"""Prompt templates: `build_*` renders, `parse_*` reads answers. Each template has a version."""
