"""Model rows and endpoints: data with their sources, no behaviour."""
