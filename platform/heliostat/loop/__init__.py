"""The loop: one block of replicas stepped through strides, in this process."""
