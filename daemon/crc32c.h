/* daemon/crc32c.h - CRC-32C (Castagnoli): the checksum of what is kept on disk. Any thread. */
#ifndef DAEMON_CRC32C_H
#define DAEMON_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `data` behind what `crc` is the checksum of; 0 to begin. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* The same without the processor's instruction; what a test compares with. */
uint32_t crc32c_plain(uint32_t crc, const void *data, size_t size);

#endif
