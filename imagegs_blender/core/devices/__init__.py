"""The few operations that a fit needs, on every device.

A device holds the target planes and answers two questions: what do these splats look like, and how does the loss change
with each of their numbers. reference.py is the definition, cpu/ runs it with Numba, cuda/ on a GPU.
"""
