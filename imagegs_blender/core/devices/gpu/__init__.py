"""The device of every graphics card: our kernels in WGSL, run by wgpu on Vulkan, Metal or Direct3D 12."""
