"""Transcribe scanned documents: render pages, send them to a model, and build records that can be cited.

```
file ─► Pages ─► PageImage ─► PageTranscription ─► PageLayout ─► Record ─► Citation
```

`rendering` opens the file and renders its pages, `chat_transcriber` sends them to a chat model, `page_cache`
stores the transcriptions, `layout` parses them, and `records` and `citations` build the results;
`transcription.Transcription` runs all steps. The adapters convert records to documents of their framework. No framework
is imported here, and pypdfium2 and Pillow only when a file is opened.
"""
