/* cuda/cache.h - compiled kernels on disk.
 *
 * A directory of files, each named after the SHA-256 of what it was made from, with a header (magic, kind,
 * key, length, SHA-256 of the content) before the content. What lies there is loaded as code, so the
 * directory and each file must belong to the effective user and be writable by nobody else, or they are
 * refused. A file that is cut short, damaged or not what its name says is deleted and made afresh. Files
 * appear by rename, so any number of processes may share the directory. At most PGK_CACHE_ENTRIES files and
 * PGK_CACHE_SIZE bytes stay; those not used for longest go first. */
#ifndef CUDA_CACHE_H
#define CUDA_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/engine.h"

#define PGK_CACHE_ENTRIES    64
#define PGK_CACHE_SIZE       ((uint64_t)64 << 20)
#define PGK_CACHE_ENTRY_SIZE ((uint64_t)16 << 20) /* larger ones are not kept */

struct pgk_cache;

/* Opens, and creates when missing (0700), `directory`; NULL: the first of $CACHE_DIRECTORY (systemd; of
 * several the first), $XDG_CACHE_HOME/polygond and $HOME/.cache/polygond that is set to an absolute path.
 * -ENOENT: none is; -EPERM: another's, or others may write there; else what the system says; one line in
 * `why`. */
int pgk_cache_open(struct pgk_cache **ret, const char *directory, char *why, size_t why_size) PGK_WARN_UNUSED;
void pgk_cache_close(struct pgk_cache *cache);
const char *pgk_cache_path(const struct pgk_cache *cache);

/* Content of `key` and its kind, on the heap; -ENOENT when there is none (or none that is whole: that one is
 * deleted). */
int pgk_cache_get(struct pgk_cache *cache, const uint8_t key[32], uint32_t *ret_kind, void **ret_data,
                  size_t *ret_size) PGK_WARN_UNUSED;

/* Keeps content, replacing what the key had. -EFBIG, or what the system says; nothing half written is ever
 * found by a get. */
int pgk_cache_put(struct pgk_cache *cache, const uint8_t key[32], uint32_t kind, const void *data,
                  size_t size) PGK_WARN_UNUSED;

#endif
