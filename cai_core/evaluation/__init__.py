"""Measuring models: pure metrics, and later suites, judges and drift."""
