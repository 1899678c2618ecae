#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "journal_private.h"

#define RING_MIN     (UINT64_C(1) << 20)
#define PATIENCE_NS  NS_PER_S
#define PATIENCE_NAP 200000 /* ns */
#define AHEAD_BYTES  1024u  /* of the ring on their way into the cache, which is smaller than it */
#define AHEAD_LINES  3u     /* at each put */
#define WAKE_BYTES   (UINT64_C(256) << 10) /* put since the writer was last looked at: a block's worth */

/* ------------------------------------------------------------------------------------------------ the ring
 */

static int open_ring(struct journal *j)
{
    j->size = RING_MIN;
    while (j->size < j->options.buffer_bytes)
        j->size *= 2;
    int fd = memfd_create("polygond journal", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    uint8_t *base = MAP_FAILED;
    if (ftruncate(fd, (off_t)j->size) == 0)
        base = mmap(NULL, 2 * j->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    if (base != MAP_FAILED) {
        j->ring = base;
        if (mmap(base, j->size, prot, flags, fd, 0) == MAP_FAILED ||
            mmap(base + j->size, j->size, prot, flags, fd, 0) == MAP_FAILED)
            base = MAP_FAILED;
    }
    int r = base == MAP_FAILED ? -errno : 0;
    close(fd);
    return r;
}

static bool room_for(struct journal *j, uint64_t bytes)
{
    if (j->head + bytes - j->tail_seen <= j->size)
        return true;
    j->tail_seen = __atomic_load_n(&j->tail, __ATOMIC_ACQUIRE);
    return j->head + bytes - j->tail_seen <= j->size;
}

static void wake_writer(struct journal *j)
{
    if (__atomic_load_n(&j->asleep, __ATOMIC_RELAXED) && __atomic_exchange_n(&j->asleep, 0, __ATOMIC_RELAXED))
        sem_post(&j->wake);
}

/* Not at each put: the writer's words are in another processor's cache, and a wake is a system call. What is
 * less than a block is found at the writer's next flush. */
static void look(struct journal *j)
{
    j->looked = j->head;
    j->tail_seen = __atomic_load_n(&j->tail, __ATOMIC_ACQUIRE);
    if (j->head - j->tail_seen >= WAKE_BYTES)
        wake_writer(j);
}

static bool wait_for_room(struct journal *j, uint64_t bytes)
{
    const struct timespec nap = {0, PATIENCE_NAP};
    const int64_t end = clock_mono_ns() + PATIENCE_NS;
    while (!room_for(j, bytes)) {
        if (clock_mono_ns() > end)
            return false;
        wake_writer(j);
        nanosleep(&nap, NULL);
    }
    return true;
}

/* The head is released last: the writer sees records whole. */
static void append(struct journal *j, const struct journal_entry *e, const void *data, size_t size,
                   uint64_t padded)
{
    uint8_t *at = j->ring + (j->head & (j->size - 1));
    const struct journal_record head = {
        .size = (uint32_t)(sizeof head + e->before_size + size),
        .kind = (uint16_t)e->kind,
        .cluster = e->cluster,
        .flags = e->flags,
        .index = e->index,
        .t_ns = e->t_ns,
        .arg = e->arg,
    };
    for (unsigned line = 0; line < AHEAD_LINES; line++)
        __builtin_prefetch(at + AHEAD_BYTES + line * PGD_LINE, 1);
    memcpy(at, &head, sizeof head);
    if (e->before_size)
        memcpy(at + sizeof head, e->before, e->before_size);
    if (size)
        memcpy(at + sizeof head + e->before_size, data, size);
    __atomic_store_n(&j->head, j->head + padded, __ATOMIC_RELEASE);
}

static void leave_out(struct journal *j, int64_t t_ns, size_t size, uint8_t why)
{
    if (j->hole.records++ == 0)
        j->hole.first_ns = t_ns;
    j->hole.last_ns = t_ns;
    j->hole.bytes += size;
    j->hole.flags |= why;
    j->lost++;
}

static bool say_hole(struct journal *j)
{
    const struct journal_lost lost = {j->hole.bytes, j->hole.first_ns, j->hole.last_ns};
    const struct journal_entry e = {
        .kind = JOURNAL_LOST, .flags = j->hole.flags, .t_ns = j->hole.last_ns, .arg = j->hole.records};
    uint64_t padded = journal_padded(sizeof(struct journal_record) + sizeof lost);
    if (!room_for(j, padded))
        return false;
    append(j, &e, &lost, sizeof lost, padded);
    j->hole = (struct journal_hole){0};
    return true;
}

void journal_put(struct journal *j, const struct journal_entry *e, const void *data, size_t size)
{
    const uint64_t lost = journal_padded(sizeof(struct journal_record) + sizeof(struct journal_lost));
    j->records++;
    /* Half a ring at most: so a large record can get in while the writer is busy with another. */
    if (size > JOURNAL_RECORD_MAX / 2 || size > j->size / 2) {
        leave_out(j, e->t_ns, size, JOURNAL_LOST_SIZE);
        return;
    }
    uint64_t padded = journal_padded(sizeof(struct journal_record) + e->before_size + size);
    bool room = room_for(j, padded + lost) || (j->patient && wait_for_room(j, padded + lost));
    if (!room || (j->hole.records && !say_hole(j))) {
        leave_out(j, e->t_ns, size, JOURNAL_LOST_SLOW);
        wake_writer(j);
        return;
    }
    append(j, e, data, size, padded);
    if (j->head - j->looked >= WAKE_BYTES)
        look(j);
}

void journal_patient(struct journal *j, bool patient)
{
    if (j)
        j->patient = patient;
}

/* -------------------------------------------------------------------------------------------- open, close */

void journal_counts(const struct journal *j, struct journal_counts *ret)
{
    *ret = (struct journal_counts){
        .records = j->records,
        .lost = j->lost + __atomic_load_n(&j->disk_lost, __ATOMIC_RELAXED),
        .bytes = __atomic_load_n(&j->bytes, __ATOMIC_RELAXED),
        .files = __atomic_load_n(&j->files, __ATOMIC_RELAXED),
        .files_removed = __atomic_load_n(&j->removed, __ATOMIC_RELAXED),
        .faults = __atomic_load_n(&j->faults, __ATOMIC_RELAXED),
        .cut_bytes = j->cut_bytes,
    };
}

static void destroy(struct journal *j)
{
    if (j->ring)
        munmap(j->ring, 2 * j->size);
    if (j->fd >= 0)
        close(j->fd);
    if (j->directory_fd >= 0)
        close(j->directory_fd);
    sem_destroy(&j->wake);
    free(j->known);
    free(j->directory);
    free(j->config);
    free(j);
}

static int copy_options(struct journal *j, const struct journal_options *o)
{
    j->options = *o;
    j->directory = strdup(o->directory);
    j->config = strdup(o->config ? o->config : "");
    j->known = calloc(o->symbols ? o->symbols : 1, sizeof *j->known);
    if (!j->directory || !j->config || !j->known)
        return -ENOMEM;
    if (strlen(o->instance) >= sizeof j->instance)
        return -EINVAL;
    memcpy(j->instance, o->instance, strlen(o->instance));
    return 0;
}

static int open_files(struct journal *j)
{
    int r = journal_make_directory(j->directory);
    if (r < 0)
        return r;
    j->directory_fd = open(j->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->directory_fd < 0)
        return -errno;
    r = journal_repair(j);
    if (r < 0)
        return r;
    r = journal_begin(j);
    return r == -ENOSPC || r == -EDQUOT ? 0 : r; /* tried again by the thread, which says so */
}

int journal_open(struct journal **ret, const struct journal_options *options, char *err, size_t err_size)
{
    struct journal *j = aligned_alloc(64, (sizeof *j + 63) / 64 * 64);
    if (!j)
        return -ENOMEM;
    *j = (struct journal){.fd = -1, .directory_fd = -1, .run_ns = clock_real_ns()};
    sem_init(&j->wake, 0, 0);
    int r = copy_options(j, options);
    if (r == 0)
        r = open_ring(j);
    if (r == 0)
        r = open_files(j);
    if (r == 0) {
        r = -pthread_create(&j->thread, NULL, journal_writer, j);
        j->started = r == 0;
    }
    if (r < 0) {
        snprintf(err, err_size, "journal %s: %s", options->directory, strerror(-r));
        destroy(j);
        return r;
    }
    *ret = j;
    return 0;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    j->patient = true;
    journal_put(j, &(struct journal_entry){.kind = JOURNAL_END, .t_ns = clock_real_ns()}, NULL, 0);
    __atomic_store_n(&j->stop, 1, __ATOMIC_RELEASE);
    sem_post(&j->wake);
    pthread_join(j->thread, NULL);
    destroy(j);
}
