"""The rebuildable indexes over the workspace's files: DuckDB for rows, SQLite FTS5 for texts.

The only place with SQL. One process owns them at a time (`owner.py`); `ingest.py` brings in new
bytes of row files and journals; `explorer.py` answers what pages ask, in the records of `views.py`.
"""
