"""Parse the LaTeX that models write: tables and text."""
