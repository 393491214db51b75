"""One file per numerical idea; kernels know neither task nor run."""
