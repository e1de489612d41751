"""The command line: parse, one library call, render. rich lives here and nowhere below."""
