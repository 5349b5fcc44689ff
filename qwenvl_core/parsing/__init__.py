"""Read what models write: HTML, Markdown, LaTeX, JSON and coordinate tuples, in linear time and without raising.

The readers are written by hand. lxml, selectolax, markdown-it-py, pylatexenc, json-repair and filetype were tried
against 11,000 layout answers, 30,000 grounding answers and 50 hostile inputs: they lose content, need quadratic time
for hostile input, or invent boxes where JSON was cut off.
"""
