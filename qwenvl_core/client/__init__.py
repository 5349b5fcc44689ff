"""The client that runs the pipeline, and the configuration that both adapters share."""
