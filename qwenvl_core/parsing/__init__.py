"""What the model writes about a page: HTML, Markdown, LaTeX, JSON and tuples, read in linear time, never raising."""
