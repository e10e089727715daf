"""What text from outside must look like: bounded, and free of what PostgreSQL cannot store."""

#: A pattern that every text but one with a NUL character matches.
NO_NUL = r"^[^\x00]*\Z"

#: The same for text that must hold more than white space. What stands before the first other character can be
#: read in one way only: else a long text with a NUL at its end would be read over and over again.
NOT_BLANK = r"^\s*[^\s\x00][^\x00]*\Z"
