"""HTTP over the clients of the vendor SDKs. Each SDK is imported by one module only: `openai` and `dashscope`."""
