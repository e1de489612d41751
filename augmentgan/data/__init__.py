"""Reading, checking, splitting and writing labelled images. Nothing here loads torch, but for a torchvision set that is asked for."""
