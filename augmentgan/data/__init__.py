"""Reading, checking, splitting and writing labelled images; no torch, but for sets that torchvision downloads."""
