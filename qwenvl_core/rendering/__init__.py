"""Open PDFs, TIFFs and other images, and render their pages at the model's input size."""
