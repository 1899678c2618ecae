/* cuda/digest.h - SHA-256 (FIPS 180-4). Not for secrets. */
#ifndef CUDA_DIGEST_H
#define CUDA_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct pgk_digest {
    uint32_t state[8];
    uint64_t length; /* bytes taken */
    uint8_t block[64];
};

void pgk_digest_init(struct pgk_digest *digest);
void pgk_digest_add(struct pgk_digest *digest, const void *data, size_t size);
void pgk_digest_end(struct pgk_digest *digest, uint8_t ret[32]);

#endif
