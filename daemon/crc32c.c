#include "crc32c.h"

#include <stdbool.h>
#include <string.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#define HWCAP_ARM_CRC32 (1ul << 7)
#endif

/* Four bits at a time: small, and only for machines without the instruction. */
static const uint32_t nibble[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t crc32c_plain(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;
    crc = ~crc;
    for (; size > 0; size--) {
        crc ^= *p++;
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t crc32c_fast(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t c = ~crc;
    uint64_t w;
    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&w, p, 8);
        c = __builtin_ia32_crc32di(c, w);
    }
    uint32_t r = (uint32_t)c;
    for (; size > 0; size--)
        r = __builtin_ia32_crc32qi(r, *p++);
    return ~r;
}

static bool crc32c_can(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__)

/* In assembler, because gcc and clang name the built-in differently and want the extension for the whole
 * file. */
static uint32_t crc32c_fast(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint32_t c = ~crc;
    uint64_t w;
    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&w, p, 8);
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(c) : "r"(w));
    }
    for (; size > 0; size--, p++)
        __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(c) : "r"((uint32_t)*p));
    return ~c;
}

static bool crc32c_can(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ARM_CRC32) != 0;
}

#else

static uint32_t crc32c_fast(uint32_t crc, const void *data, size_t size)
{
    return crc32c_plain(crc, data, size);
}

static bool crc32c_can(void)
{
    return false;
}

#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    static int can; /* 0: not known yet; every thread finds the same */
    int known = __atomic_load_n(&can, __ATOMIC_RELAXED);
    if (known == 0) {
        known = crc32c_can() ? 1 : -1;
        __atomic_store_n(&can, known, __ATOMIC_RELAXED);
    }
    return known > 0 ? crc32c_fast(crc, data, size) : crc32c_plain(crc, data, size);
}
