"""The pipeline itself, and the configuration that both adapters share."""
