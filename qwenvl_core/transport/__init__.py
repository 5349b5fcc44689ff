"""Send HTTP requests over the clients of the vendor SDKs; only `openai` and `dashscope` import their SDK."""
