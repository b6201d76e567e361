"""The verbs of the command line: each file parses its arguments, calls one function and prints."""
