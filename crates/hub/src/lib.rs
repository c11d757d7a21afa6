//! SOURCES: where models come from: path, URL, PyPI, Hugging Face, ModelScope; the local cache.
