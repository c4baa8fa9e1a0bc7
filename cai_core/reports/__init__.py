"""A report on evaluations: one file that opens without a network, and the same as Markdown."""
