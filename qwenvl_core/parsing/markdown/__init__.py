"""Parse the Markdown that models write: blocks, lines and pages."""
