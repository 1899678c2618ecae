/* math.h for NVRTC, which knows fabs and sqrt, and no __builtin_nan: this one has the bits of gcc's. */
#ifndef CUDA_STD_MATH_H
#define CUDA_STD_MATH_H

#define __builtin_nan(tag) __longlong_as_double(0x7ff8000000000000ll)

#endif
