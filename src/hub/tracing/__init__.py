"""Setting up what tells others of this process: traces by OpenTelemetry, unexpected errors to Sentry.

Both are extras: nothing of them is imported unless the settings ask for it.
"""

from hub.tracing.observing import observed

__all__ = ["observed"]
