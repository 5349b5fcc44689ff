"""Transcribe scanned documents: render pages, have a model transcribe them, and build records that can be cited.

```
file ─► rendering.open ─► Pages ─► PageImage ─► Transcriber ─► PageTranscription ─► parse_layout ─► records ─► citation
         (PDFium, Pillow)  page_size    (the adapters' models)   page_cache
```

`transcription.Transcription` runs the pipeline; the adapters convert its records to documents of their framework. No
framework is imported here, and pypdfium2 and Pillow only when a file is opened.
"""
