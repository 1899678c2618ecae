/* cuda/text.h - what is carried in the binary for the GPU: the sources that NVRTC compiles, and the general
 * kernel if nvcc was there when the binary was built. The Makefile's CUDA_TEXT lists the files; they are put
 * in byte by byte. */
#ifndef CUDA_TEXT_H
#define CUDA_TEXT_H

#include <stddef.h>

/* A source file. `name` is what an #include says: "step/sma.h", "indicators.def", "stdint.h". `data` ends
 * with a 0 byte that `size` does not count. */
struct pgk_text {
    const char *name;
    const char *data;
    size_t size;
};

extern const struct pgk_text pgk_texts[];
extern const size_t pgk_texts_count;

/* kernels/cuda/general.cu as a fat binary for cuModuleLoadDataEx; size 0: built without nvcc. */
extern const unsigned char pgk_fatbin[];
extern const size_t pgk_fatbin_size;

#endif
