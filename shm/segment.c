#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "shm/atomic.h"
#include "shm/wake.h"

#define BODY_ALIGN UINT64_C(128)
#define SCHEMA_MAX 4096u
#define SHM_FOLDER "/dev/shm"
#define TEXT_MAX   256u

uint64_t pgd__fnv(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

bool pgd__extent_fits(uint64_t limit, uint64_t offset, uint64_t count, uint64_t stride, uint64_t size)
{
    if (count == 0)
        return true;
    uint64_t span, end;
    if ((offset | stride) & 7)
        return false;
    if (__builtin_mul_overflow(count - 1, stride, &span) || __builtin_add_overflow(span, offset, &end) ||
        __builtin_add_overflow(end, size, &end))
        return false;
    return end <= limit;
}

int64_t pgd__realtime_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

void pgd__store_text(void *to, const char *text, size_t bytes)
{
    uint64_t words[TEXT_MAX / 8] = {0};
    if (bytes > TEXT_MAX)
        bytes = TEXT_MAX;
    size_t length = strnlen(text, bytes - 1);
    memcpy(words, text, length);
    shm_copy_in(to, words, bytes / 8);
}

/* ------------------------------------------------------------------------------------------- names */

static bool name_valid(const char *name, size_t max, const char *extra)
{
    size_t n = 0;
    for (; name[n] != '\0'; n++) {
        char c = name[n];
        if (n + 1 >= max || !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr(extra, c) != NULL))
            return false;
    }
    return n > 0;
}

bool pgd_instance_valid(const char *name)
{
    return name != NULL && name_valid(name, PGD_INSTANCE_MAX, "_-");
}

int pgd_shm_name(char *ret, const char *instance, const char *segment)
{
    if (!pgd_instance_valid(instance) || segment == NULL || !name_valid(segment, PGD_SEGMENT_MAX, "_-."))
        return -EINVAL;
    int n = snprintf(ret, PGD_SHM_NAME_MAX, "/polygond.%s.%s", instance, segment);
    return n > 0 && n < PGD_SHM_NAME_MAX ? 0 : -EINVAL;
}

int pgd_shm_free_bytes(uint64_t *ret)
{
    struct statvfs st;
    if (statvfs(SHM_FOLDER, &st) < 0)
        return -errno;
    *ret = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

int pgd_segment_unlink(const char *instance, const char *segment)
{
    char name[PGD_SHM_NAME_MAX];
    int r = pgd_shm_name(name, instance, segment);
    if (r < 0)
        return r;
    return shm_unlink(name) < 0 ? -errno : 0;
}

/* ------------------------------------------------------------------------------------- mapping and checks */

void pgd_segment_close(struct pgd_map *map)
{
    if (map->base == NULL)
        return;
    munmap(map->base, map->size);
    close(map->fd);
    *map = (struct pgd_map){0};
}

/* Every number comes from `h`, a private copy, and is checked against the size of the real file. */
static int header_check(struct pgd_map *map, const struct pgd_header *h, uint32_t kind)
{
    if (h->magic == 0)
        return -EAGAIN;
    if (h->magic != PGD_MAGIC)
        return -EPROTO;
    if (h->abi_major != PGD_ABI_MAJOR)
        return -EPROTONOSUPPORT;
    if (h->kind != kind || h->size != map->size || h->header_size < sizeof *h)
        return -EPROTO;
    if (!pgd__extent_fits(map->size, h->geometry_offset, 1, 0, h->geometry_size) || h->geometry_size == 0)
        return -EPROTO;
    if (h->schema_stride < sizeof(struct pgd_field) || h->schema_count > SCHEMA_MAX ||
        !pgd__extent_fits(map->size, h->schema_offset, h->schema_count, h->schema_stride,
                          sizeof(struct pgd_field)))
        return -EPROTO;
    map->kind = h->kind;
    map->geometry_offset = h->geometry_offset;
    map->geometry_size = h->geometry_size;
    map->schema_offset = h->schema_offset;
    map->schema_count = h->schema_count;
    map->schema_stride = h->schema_stride;
    return 0;
}

static void header_copy(struct pgd_header *ret, const struct pgd_map *map)
{
    uint64_t magic = shm_load64_acquire(map->base);
    shm_copy_out(ret, map->base, sizeof *ret / 8);
    ret->magic = magic;
}

static int map_whole(struct pgd_map *ret, int fd, int prot)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EPROTO;
    if (st.st_size == 0)
        return -EAGAIN;
    if ((uint64_t)st.st_size < sizeof(struct pgd_header))
        return -EPROTO;
    void *base = mmap(NULL, (size_t)st.st_size, prot, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    *ret = (struct pgd_map){.base = base, .size = (uint64_t)st.st_size, .fd = fd};
    return 0;
}

int pgd__segment_map(struct pgd_map *ret, int fd, uint32_t kind, int prot)
{
    struct pgd_map map;
    int r = map_whole(&map, fd, prot);
    if (r < 0)
        return r;
    struct pgd_header h;
    header_copy(&h, &map);
    r = header_check(&map, &h, kind);
    if (r < 0) {
        munmap(map.base, map.size);
        return r;
    }
    *ret = map;
    return 0;
}

int pgd_segment_attach(struct pgd_map *ret, const char *instance, const char *segment, uint32_t kind)
{
    char name[PGD_SHM_NAME_MAX];
    int r = pgd_shm_name(name, instance, segment);
    if (r < 0)
        return r;
    int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct pgd_map map;
    r = pgd__segment_map(&map, fd, kind, PROT_READ);
    if (r < 0) {
        close(fd);
        return r;
    }
    if (pgd_segment_stale(&map)) {
        pgd_segment_close(&map);
        return -EAGAIN;
    }
    *ret = map;
    return 0;
}

uint64_t pgd_segment_epoch(const struct pgd_map *map)
{
    return shm_load64_acquire(map->base + offsetof(struct pgd_header, epoch));
}

bool pgd_segment_stale(const struct pgd_map *map)
{
    return shm_load32_acquire(map->base + offsetof(struct pgd_header, state)) == PGD_STATE_STALE;
}

/* ------------------------------------------------------------------------------------------ schema */

static uint64_t record_size(const struct pgd_map *map, uint32_t record)
{
    switch (record) {
    case PGD_REC_BAR:
    case PGD_REC_SLOT:
    case PGD_REC_LOG:
    case PGD_REC_DAY:
        return PGD_LINE;
    case PGD_REC_SERIES:
        return sizeof(struct pgd_series);
    case PGD_REC_SYMBOL:
        return sizeof(struct pgd_symbol);
    case PGD_REC_UNIT:
        if (map->kind != PGD_KIND_BARS || map->geometry_size < sizeof(struct pgd_bars_geometry))
            return 0;
        return shm_load32(map->base + map->geometry_offset + offsetof(struct pgd_bars_geometry, unit_size));
    default:
        return 0;
    }
}

static uint64_t type_size(uint32_t type)
{
    static const uint8_t sizes[] = {[PGD_U8] = 1,  [PGD_U16] = 2, [PGD_U32] = 4, [PGD_U64] = 8,
                                    [PGD_I64] = 8, [PGD_F64] = 8, [PGD_CHAR] = 1};
    return type < sizeof sizes ? sizes[type] : 0;
}

const struct pgd_field *pgd_segment_field(const struct pgd_map *map, uint32_t record, const char *name)
{
    for (uint32_t i = 0; i < map->schema_count; i++) {
        const uint8_t *at = map->base + map->schema_offset + (uint64_t)i * map->schema_stride;
        const struct pgd_field *field = (const struct pgd_field *)at;
        if (field->record == record && strncmp(field->name, name, sizeof field->name) == 0)
            return field;
    }
    return NULL;
}

int pgd_segment_field_at(const struct pgd_map *map, uint32_t index, struct pgd_field *ret)
{
    if (index >= map->schema_count)
        return -ENOENT;
    struct pgd_field f;
    shm_copy_out(&f, map->base + map->schema_offset + (uint64_t)index * map->schema_stride, sizeof f / 8);
    uint64_t size = type_size(f.type), limit = record_size(map, f.record);
    if (size == 0 || f.count == 0 || f.offset + size * f.count > limit)
        return -EPROTO;
    if (memchr(f.name, '\0', sizeof f.name) == NULL || memchr(f.unit, '\0', sizeof f.unit) == NULL)
        return -EPROTO;
    *ret = f;
    return 0;
}

/* -------------------------------------------------------------------------------------- write side */

uint64_t pgd_layout_body(uint32_t geometry_size, uint32_t field_count)
{
    uint64_t end =
        sizeof(struct pgd_header) + geometry_size + (uint64_t)field_count * sizeof(struct pgd_field);
    return (end + BODY_ALIGN - 1) & ~(BODY_ALIGN - 1);
}

static uint32_t fixed_bytes(const struct pgd_layout *layout)
{
    return layout->geometry_fixed != 0 ? layout->geometry_fixed : layout->geometry_size;
}

static uint64_t layout_hash(const struct pgd_layout *layout)
{
    const uint64_t head[] = {PGD_ABI_MAJOR, layout->kind, layout->size, layout->geometry_size,
                             layout->field_count};
    uint64_t hash = pgd__fnv(PGD_FNV_SEED, head, sizeof head);
    hash = pgd__fnv(hash, layout->geometry, fixed_bytes(layout));
    return pgd__fnv(hash, layout->fields, layout->field_count * sizeof(struct pgd_field));
}

/* The futex word that readers of a segment sleep on, or NULL when its geometry does not lead to one. */
static uint32_t *notify_word(const struct pgd_map *map)
{
    const uint8_t *geometry = map->base + map->geometry_offset;
    uint64_t tape;
    if (map->kind == PGD_KIND_BOARD && map->geometry_size >= sizeof(struct pgd_board))
        return (uint32_t *)(map->base + map->geometry_offset + offsetof(struct pgd_board, notify));
    if (map->kind == PGD_KIND_TAPE && map->geometry_size >= sizeof(struct pgd_tape_geometry))
        tape = shm_load64(geometry + offsetof(struct pgd_tape_geometry, tape_offset));
    else if (map->kind == PGD_KIND_BARS && map->geometry_size >= sizeof(struct pgd_bars_geometry))
        tape = shm_load64(geometry + offsetof(struct pgd_bars_geometry, log_offset));
    else
        return NULL;
    if (!pgd__extent_fits(map->size, tape, 1, 0, sizeof(struct pgd_tape)))
        return NULL;
    return (uint32_t *)(map->base + tape + offsetof(struct pgd_tape, notify));
}

static void notify_readers(const struct pgd_map *map)
{
    uint32_t *word = notify_word(map);
    if (word == NULL)
        return;
    shm_store32_release(word, shm_load32(word) + 1);
    pgd_wake_all(word);
}

void pgd_segment_publish(struct pgd_map *map, uint64_t epoch)
{
    shm_store64_release(map->base + offsetof(struct pgd_header, epoch), epoch);
    shm_store64_release(map->base + offsetof(struct pgd_header, magic), PGD_MAGIC);
    notify_readers(map);
}

/* Readers of the old file learn from `state` that its name has a new owner. */
static void mark_stale(int fd, uint32_t kind)
{
    struct pgd_map map;
    if (pgd__segment_map(&map, fd, kind, PROT_READ | PROT_WRITE) < 0)
        return;
    shm_store32_release(map.base + offsetof(struct pgd_header, state), PGD_STATE_STALE);
    notify_readers(&map);
    munmap(map.base, map.size);
}

static bool layout_equal(const struct pgd_map *map, const struct pgd_owner *owner,
                         const struct pgd_layout *layout)
{
    const struct pgd_header *h = pgd_segment_header(map);
    return map->size == layout->size && h->layout_hash == layout_hash(layout) && h->state == PGD_STATE_LIVE &&
           h->directory == owner->directory && map->geometry_offset == sizeof *h &&
           map->geometry_size == layout->geometry_size && map->schema_count == layout->field_count &&
           map->schema_stride == sizeof(struct pgd_field) &&
           memcmp(map->base + map->geometry_offset, layout->geometry, fixed_bytes(layout)) == 0 &&
           (layout->field_count == 0 || memcmp(map->base + map->schema_offset, layout->fields,
                                               layout->field_count * sizeof(struct pgd_field)) == 0);
}

static int set_access(int fd, const struct pgd_owner *owner)
{
    if (owner->gid != (gid_t)-1 && fchown(fd, (uid_t)-1, owner->gid) < 0)
        return -errno;
    return fchmod(fd, owner->mode) < 0 ? -errno : 0;
}

int pgd__segment_open(const char *instance, const char *segment)
{
    char name[PGD_SHM_NAME_MAX];
    int r = pgd_shm_name(name, instance, segment);
    if (r < 0)
        return r;
    int fd = shm_open(name, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return errno == EACCES ? -EEXIST : -errno;
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid())
        return fd;
    close(fd);
    return -EEXIST;
}

bool pgd__segment_is_current(int fd, const char *instance, const char *segment)
{
    struct stat mine, named;
    int other = pgd__segment_open(instance, segment);
    if (other < 0)
        return false;
    bool same = fstat(fd, &mine) == 0 && fstat(other, &named) == 0 && mine.st_dev == named.st_dev &&
                mine.st_ino == named.st_ino;
    close(other);
    return same;
}

/* 1: adopted; 0: there is none, or the name has been freed for a successor. */
static int adopt(struct pgd_map *ret, const struct pgd_owner *owner, const struct pgd_layout *layout)
{
    int fd = pgd__segment_open(owner->instance, layout->name);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    struct pgd_map map;
    int r = pgd__segment_map(&map, fd, layout->kind, PROT_READ | PROT_WRITE);
    if (r == 0 && layout_equal(&map, owner, layout)) {
        r = set_access(fd, owner);
        if (r < 0) {
            pgd_segment_close(&map);
            return r;
        }
        map.adopted = true;
        *ret = map;
        return 1;
    }
    if (r == 0)
        munmap(map.base, map.size);
    mark_stale(fd, layout->kind);
    close(fd);
    r = pgd_segment_unlink(owner->instance, layout->name);
    return r == -ENOENT ? 0 : r;
}

/* Memory is taken now: a hole would be a SIGBUS in the daemon's, or a reader's, hands later. */
static int allocate(int fd, uint64_t size)
{
    if (size == 0 || size > (uint64_t)INT64_MAX)
        return -EINVAL;
    if (ftruncate(fd, (off_t)size) < 0)
        return -errno;
    int r;
    do {
        r = posix_fallocate(fd, 0, (off_t)size);
    } while (r == EINTR);
    return -r;
}

static void write_head(struct pgd_map *map, const struct pgd_owner *owner, const struct pgd_layout *layout)
{
    struct pgd_header h = {
        .abi_major = PGD_ABI_MAJOR,
        .abi_minor = PGD_ABI_MINOR,
        .kind = layout->kind,
        .size = layout->size,
        .header_size = sizeof h,
        .state = PGD_STATE_LIVE,
        .epoch = owner->epoch,
        .layout_hash = layout_hash(layout),
        .geometry_offset = sizeof h,
        .geometry_size = layout->geometry_size,
        .schema_offset = (uint32_t)sizeof h + layout->geometry_size,
        .schema_count = layout->field_count,
        .schema_stride = sizeof(struct pgd_field),
        .created_ns = pgd__realtime_ns(),
        .directory = owner->directory,
    };
    memcpy(h.instance, owner->instance, strlen(owner->instance));
    memcpy(h.name, layout->name, strlen(layout->name));
    memcpy(map->base, &h, sizeof h);
    memcpy(map->base + h.geometry_offset, layout->geometry, layout->geometry_size);
    if (layout->field_count != 0)
        memcpy(map->base + h.schema_offset, layout->fields, layout->field_count * sizeof(struct pgd_field));
    h.magic = PGD_MAGIC;
    (void)header_check(map, &h, layout->kind);
}

static int create(struct pgd_map *ret, const struct pgd_owner *owner, const struct pgd_layout *layout)
{
    char name[PGD_SHM_NAME_MAX];
    int r = pgd_shm_name(name, owner->instance, layout->name);
    if (r < 0)
        return r;
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    struct pgd_map map;
    r = allocate(fd, layout->size);
    if (r == 0)
        r = set_access(fd, owner);
    if (r == 0)
        r = map_whole(&map, fd, PROT_READ | PROT_WRITE);
    if (r < 0) {
        shm_unlink(name);
        close(fd);
        return r;
    }
    write_head(&map, owner, layout);
    *ret = map;
    return 0;
}

int pgd_segment_own(struct pgd_map *ret, const struct pgd_owner *owner, const struct pgd_layout *layout)
{
    if (layout->geometry_size == 0 || (layout->geometry_size & 7) != 0 || layout->field_count > SCHEMA_MAX ||
        layout->size < pgd_layout_body(layout->geometry_size, layout->field_count) || (layout->size & 7) != 0)
        return -EINVAL;
    int r = adopt(ret, owner, layout);
    if (r != 0)
        return r < 0 ? r : 0;
    return create(ret, owner, layout);
}
