"""Parse the HTML that models write, also where it is cut off or unbalanced."""
