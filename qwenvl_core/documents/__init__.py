"""Scanned documents: pages rendered as the model sees them, read by a model, cut into records that can be cited.

```
file ─► opening ─► pages (PDFium, Pillow) ─► PageImage ─► Transcriber ─► Answer ─► parse_layout ─► records ─► citation
                       sizing                  (the adapters' models)    cache
```

`reading.Reading` is the whole way; the adapters make their documents of its records. Nothing here knows a framework.
pypdfium2 and Pillow are imported when a file is opened.
"""
