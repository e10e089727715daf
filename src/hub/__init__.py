"""Companion Hub: a self-hosted server for AI companions."""

from importlib.metadata import version

__version__ = version("companion-hub")
