"""Runs in the background: queue, dispatcher, workers. Nothing here needs the web app."""
