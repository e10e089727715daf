"""What text from outside must look like: bounded, and free of what PostgreSQL cannot store."""

#: A pattern that every text but one with a NUL character matches.
NO_NUL = r"^[^\x00]*\Z"

#: The same for text that must hold more than white space.
NOT_BLANK = r"^[^\x00]*[^\s\x00][^\x00]*\Z"
