/* stddef.h for NVRTC: size_t is known there. */
#ifndef CUDA_STD_STDDEF_H
#define CUDA_STD_STDDEF_H

#define NULL                   0
#define offsetof(type, member) ((size_t)(&((type *)0)->member))

#endif
