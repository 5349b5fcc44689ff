"""Scanned documents: pages rendered as the model sees them, read by a model, cut into records that can be cited.

```
file ─► opening ─► pages (PDFium, Pillow) ─► PageImage ─► Transcriber ─► Answer ─► parse_layout ─► records ─► citation
                       sizing                  (the adapters' models)    cache
```

`transcription.Transcription` runs it; the adapters turn its records into documents. No framework is imported here.
pypdfium2 and Pillow are imported when a file is opened.
"""
