"""What runs in the image processes: the only code that uses libvips.

It imports nothing heavy, so that such a process is small and there at once; ``hub.storage.images`` starts
and asks them.
"""
