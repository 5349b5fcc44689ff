"""A local web page that reads a scan, answers questions about it, and shows where the answer stands (`make app`)."""
