"""What the samples are worth: metrics, classifiers, and the benchmark."""
