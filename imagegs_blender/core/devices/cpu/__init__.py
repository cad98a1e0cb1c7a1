"""The CPU device: Numba kernels over blocks of 16 x 16 texels."""
