"""Open PDFs, TIFFs and images and render their pages at the size that the model sees."""
