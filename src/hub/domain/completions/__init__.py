"""Texts that clients of the OpenAI-compatible API ask for, who bring the talk along with each call."""
