"""Small C kernels, compiled on first use, each with the torch expression it must equal. They know of no layer."""
