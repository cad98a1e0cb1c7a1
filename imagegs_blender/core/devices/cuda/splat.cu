// The kernels of the CUDA device, compiled at run time for one number of planes and one K (nvrtc.py):
//
//   PLANES   C, 1..32
//   TOPK     K, 0..16
//   HALF_TARGET   defined where the target is held as 16-bit floats
//
// reference.py is the definition of what they compute; constants.cuh is made from its numbers and layout.py's.

#include "common.cuh"

#include "binning.cuh"
#include "blend.cuh"
#include "ssim.cuh"
#include "loss.cuh"
#include "splats.cuh"
#include "adam.cuh"
