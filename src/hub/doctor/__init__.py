"""The doctor: looks at every part that the hub needs, from outside, and says what to do."""
