/* stdbool.h for NVRTC: C++ knows bool. */
