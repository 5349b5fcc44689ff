"""Transcribe scanned documents: render pages, have a model transcribe them, and build records that can be cited.

```
file ─► Pages ─► PageImage ─► PageTranscription ─► PageLayout ─► Record ─► Citation
```

`rendering` opens the file and renders its pages, `chat_transcriber` has a chat model transcribe them, `page_cache`
stores the transcriptions, `layout` parses them, and `records` and `citations` build the rest;
`transcription.Transcription` runs all of it. The adapters convert records to documents of their framework. No framework
is imported here, and pypdfium2 and Pillow only when a file is opened.
"""
