/* cuda/why.h - the line that says why something failed. */
#ifndef CUDA_WHY_H
#define CUDA_WHY_H

#include <stddef.h>

/* Writes the line into `why`, newlines of others' texts made blanks, and returns `error`. */
int pgk_why(int error, char *why, size_t size, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
