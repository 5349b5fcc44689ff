"""Hold the rows of models and endpoints: data with their sources."""
