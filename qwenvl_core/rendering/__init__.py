"""Open PDFs, TIFFs and other images, and render their pages at the size at which the model sees them."""
