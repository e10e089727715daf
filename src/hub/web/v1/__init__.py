"""The OpenAI-compatible API below ``/v1``: a companion is a model."""
