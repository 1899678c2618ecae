/* shm/segment.h - create, adopt, hand over and attach segments.
 *
 * Errors are negative errno. No function logs. Names: "polygond.<instance>.<segment>" under /dev/shm. */
#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "polygond/abi.h"

#define PGD_WARN_UNUSED __attribute__((warn_unused_result))

/* Who owns the segments of one daemon run; the same for all its segments. */
struct pgd_owner {
    const char *instance; /* [a-z0-9_-]{1,31} */
    uint64_t epoch;       /* of this run: see pgd_board_own */
    mode_t mode;          /* e.g. 0640 */
    gid_t gid;            /* (gid_t)-1: leave */
    uint64_t directory;   /* the board's: a segment of another one is not adopted, its indexes are foreign */
};

/* A mapping of one segment. */
struct pgd_map {
    uint8_t *base;
    uint64_t size;
    int fd;       /* kept open: liveness lock, fstat */
    bool adopted; /* writer: an older run's bytes were kept */
    /* checked copies of the header's fields: the header itself is not trusted a second time */
    uint32_t kind;
    uint32_t geometry_offset;
    uint32_t geometry_size;
    uint32_t schema_offset;
    uint32_t schema_count;
    uint32_t schema_stride;
};

/* True for a name that may be an instance. */
bool pgd_instance_valid(const char *name);

/* Writes "/polygond.<instance>.<segment>" to `ret` (PGD_SHM_NAME_MAX bytes); -EINVAL for a bad name. */
#define PGD_SHM_NAME_MAX 80
int pgd_shm_name(char *ret, const char *instance, const char *segment) PGD_WARN_UNUSED;

/* Bytes free in the file system of POSIX shared memory; the daemon compares before it creates. */
int pgd_shm_free_bytes(uint64_t *ret) PGD_WARN_UNUSED;

/* What a segment will be made of: everything before the kind's own body. */
struct pgd_layout {
    const char *name;
    uint32_t kind;
    uint64_t size; /* of the whole segment */
    const void *geometry;
    uint32_t geometry_size;
    uint32_t geometry_fixed; /* leading bytes of it that make up the layout hash; 0: all */
    const struct pgd_field *fields;
    uint32_t field_count;
};

/* First byte after header, geometry and schema, rounded up to 128: where a kind's body may begin. */
uint64_t pgd_layout_body(uint32_t geometry_size, uint32_t field_count);

/* Writer. Adopts the existing segment when it is this user's, whole, of the owner's directory and its layout
 * equals the wanted one (then `ret->adopted`, contents untouched, magic still present); otherwise marks an
 * existing one STALE and wakes its readers, unlinks it and creates a zeroed successor, allocated for real:
 * -ENOSPC when the file system is too small, -EEXIST when the name is another user's. In a new segment
 * header, geometry and schema are written but not the magic: the caller builds its body, then calls
 * pgd_segment_publish. */
int pgd_segment_own(struct pgd_map *ret, const struct pgd_owner *owner,
                    const struct pgd_layout *layout) PGD_WARN_UNUSED;

/* Stores the epoch, then the magic (new segments), then wakes every reader that waits in the segment. */
void pgd_segment_publish(struct pgd_map *map, uint64_t epoch);

/* Reader. Maps read-only and checks magic, version, sizes and every offset of header, geometry and schema
 * against the real file size: -ENOENT none, -EAGAIN not ready or just succeeded, -EPROTO damaged,
 * -EPROTONOSUPPORT other major, -EACCES. */
int pgd_segment_attach(struct pgd_map *ret, const char *instance, const char *segment,
                       uint32_t kind) PGD_WARN_UNUSED;

/* Looks a field up; NULL if there is none. */
const struct pgd_field *pgd_segment_field(const struct pgd_map *map, uint32_t record, const char *name);

/* Copies the field at that position of the schema (from 0), its texts NUL-terminated and its bytes inside the
 * record it belongs to. -ENOENT past the end, -EPROTO when it is not so. */
int pgd_segment_field_at(const struct pgd_map *map, uint32_t index, struct pgd_field *ret) PGD_WARN_UNUSED;

/* The epoch of the run that writes the segment (acquire), and whether a successor has taken its name. */
uint64_t pgd_segment_epoch(const struct pgd_map *map);
bool pgd_segment_stale(const struct pgd_map *map);

static inline const struct pgd_header *pgd_segment_header(const struct pgd_map *map)
{
    return (const struct pgd_header *)map->base;
}

/* Unmaps and closes; a zeroed map is fine. Never unlinks. */
void pgd_segment_close(struct pgd_map *map);

/* Removes the name (tests, `make demo`, an operator's clean-up). Readers keep their mapping. */
int pgd_segment_unlink(const char *instance, const char *segment);

#endif
