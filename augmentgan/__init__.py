"""augmentgan: grow a small labelled image set with a conditional DCGAN, and measure whether it helps."""

__version__ = "0.1.0"
