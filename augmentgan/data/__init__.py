"""Reading, checking, splitting and writing labelled images. Nothing here loads torch."""
