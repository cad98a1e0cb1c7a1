"""The CUDA device: our kernels on PyTorch's memory, compiled at run time."""
