"""Files are the record: journals, run folders and rows. Nothing here knows a model."""
