/* The bytes as the file of what clients ask for: as they are, and with a right sum before them. What is taken
 * is written back the same, and can be learned from and asked. */
#include "prefetch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

static void use(const uint8_t *bytes, size_t size)
{
    static uint8_t again[PREFETCH_FILE_MAX];
    struct prefetch *p;
    struct prefetch_guess guesses[16];
    check(prefetch_new(&p) == 0);
    if (prefetch_load(p, bytes, size) == 0) {
        size_t n = prefetch_save(p, again);
        check(n == size && memcmp(again + 64, bytes + 64, size - 64) == 0);
        prefetch_learn(p, "AAPL", PGD_STOCKS, INT64_C(1784122200000));
        n = prefetch_guess(p, INT64_C(1784122200000), guesses, 16);
        check(n <= 16 && prefetch_count(p) <= PREFETCH_MAX);
        for (size_t i = 0; i < n; i++)
            check(isfinite(guesses[i].count) && memchr(guesses[i].symbol, '\0', PGD_SYMBOL_MAX));
    }
    prefetch_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use(data, size);
    if (size < 64 || size > 64 + 40 * 256)
        return 0;
    uint8_t *copy = malloc(size);
    check(copy != NULL);
    memcpy(copy, data, size);
    uint64_t magic = UINT64_C(0x4554454652504750), sum = XXH3_64bits(copy + 64, size - 64);
    uint32_t version = 1, count = (uint32_t)((size - 64) / 256);
    memcpy(copy, &magic, 8);
    memcpy(copy + 8, &sum, 8);
    memcpy(copy + 16, &version, 4);
    memcpy(copy + 20, &count, 4);
    use(copy, size);
    free(copy);
    return 0;
}
