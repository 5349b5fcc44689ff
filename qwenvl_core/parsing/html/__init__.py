"""Read the HTML that models write, also when it is cut off or unbalanced."""
