#include "journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define BLOCK_BYTES                                                                                          \
    (UINT64_C(256) << 10) /* a block is closed at this size; a larger record has one of its own */
#define BLOCK_SOON   (UINT64_C(64) << 10) /* worth a write before the flush time */
#define RETRY_NS     NS_PER_S
#define NUMBER_TRIES 1000

static void add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* -------------------------------------------------------------------------------------------------- blocks
 */

static void block_note(struct journal_block *block, const struct journal_record *record)
{
    if (block->records++ == 0)
        block->first_ns = block->last_ns = record->t_ns;
    if (record->t_ns < block->first_ns)
        block->first_ns = record->t_ns;
    if (record->t_ns > block->last_ns)
        block->last_ns = record->t_ns;
    if (record->kind < 32)
        block->kinds |= 1u << record->kind;
    block->bytes += (uint32_t)journal_padded(record->size);
}

/* Writes all or nothing: what a failed write left is taken off again. */
static int write_whole(struct journal *j, struct iovec *parts, int count)
{
    uint64_t want = 0, done = 0;
    for (int i = 0; i < count; i++)
        want += parts[i].iov_len;
    while (done < want) {
        ssize_t n = writev(j->fd, parts, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int r = n < 0 ? -errno : -EIO;
            if (done && ftruncate(j->fd, (off_t)j->good) < 0) {
                close(j->fd); /* the file keeps its torn end, which readers stand; the next begins clean */
                j->fd = -1;
            }
            return r;
        }
        done += (uint64_t)n;
        for (size_t left = (size_t)n; count > 0 && left > 0;) {
            size_t part = left < parts->iov_len ? left : parts->iov_len;
            parts->iov_base = (uint8_t *)parts->iov_base + part;
            parts->iov_len -= part;
            left -= part;
            if (parts->iov_len == 0) {
                parts++;
                count--;
            }
        }
    }
    j->good += want;
    add(&j->bytes, want);
    return 0;
}

static int write_block(struct journal *j, struct journal_block *block, const void *records)
{
    block->magic = JOURNAL_BLOCK_MAGIC;
    block->header_size = sizeof *block;
    block->first_seq = j->seq;
    journal_block_seal(block);
    struct iovec parts[2] = {{block, sizeof *block}, {(void *)(uintptr_t)records, block->bytes}};
    uint32_t count = block->records;
    int r = write_whole(j, parts, 2);
    if (r == 0)
        j->seq += count;
    return r;
}

/* --------------------------------------------------------------------------------------------------- files
 */

static void file_close(struct journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
}

static int create(struct journal *j)
{
    for (int tries = 0; tries < NUMBER_TRIES; tries++) {
        journal_name(j->name, j->instance, ++j->number);
        j->fd = openat(j->directory_fd, j->name,
                       O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, j->options.mode);
        if (j->fd >= 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    int r = -errno;
    j->number--;
    return r;
}

static uint8_t *put_record(uint8_t *at, struct journal_block *block, const struct journal_record *head,
                           const void *data)
{
    struct journal_record record = *head;
    memcpy(at, &record, sizeof record);
    memcpy(at + sizeof record, data, record.size - sizeof record);
    journal_record_seal((struct journal_record *)(void *)at);
    block_note(block, &record);
    return at + journal_padded(record.size);
}

/* What a reader must know that begins with this file. */
static int write_image(struct journal *j)
{
    size_t config = strlen(j->config);
    size_t each = journal_padded(sizeof(struct journal_record) + PGD_SYMBOL_MAX);
    uint8_t *image =
        malloc(journal_padded(sizeof(struct journal_record) + config) + each * j->options.symbols);
    if (!image)
        return -ENOMEM;
    const int64_t now = clock_real_ns();
    struct journal_block block = {0};
    struct journal_record head = {
        .size = (uint32_t)(sizeof head + config), .kind = JOURNAL_CONFIG, .t_ns = now};
    uint8_t *at = put_record(image, &block, &head, j->config);
    for (uint32_t i = 0; i < j->options.symbols; i++) {
        struct journal_record known = j->known[i].head;
        known.flags |= JOURNAL_SYMBOL_COPY;
        known.t_ns = now;
        if (known.size)
            at = put_record(at, &block, &known, j->known[i].name);
    }
    int r = write_block(j, &block, image);
    free(image);
    return r;
}

int journal_begin(struct journal *j)
{
    journal_retain(j);
    int r = create(j);
    if (r < 0)
        return r;
    struct journal_file file = {
        .magic = JOURNAL_MAGIC,
        .version = JOURNAL_VERSION,
        .header_size = sizeof file,
        .run_ns = j->run_ns,
        .number = j->number,
        .created_ns = clock_real_ns(),
        .first_seq = j->seq,
        .program = PGD_VERSION,
    };
    memcpy(file.instance, j->instance, sizeof file.instance);
    journal_file_seal(&file);
    j->good = 0;
    struct iovec part = {&file, sizeof file};
    r = write_whole(j, &part, 1);
    if (r == 0)
        r = write_image(j);
    if (r < 0) {
        file_close(j);
        (void)unlinkat(j->directory_fd, j->name, 0);
        return r;
    }
    j->opened_ns = clock_mono_ns();
    add(&j->files, 1);
    return 0;
}

/* --------------------------------------------------------------------------------------------------- faults
 */

static void leave_out(struct journal *j, const struct journal_block *block)
{
    struct journal_hole *hole = &j->disk_hole;
    if (hole->records == 0)
        hole->first_ns = block->first_ns;
    hole->last_ns = block->last_ns;
    hole->records += block->records;
    hole->bytes += block->bytes;
    add(&j->disk_lost, block->records);
}

static void fault(struct journal *j, int r, int64_t now)
{
    static struct log_rate rate;
    j->retry_ns = now + RETRY_NS;
    add(&j->faults, 1);
    log_event_rate(
        &rate, 60, LOG_JOURNAL_FAULT,
        "journal %s: %s: records are left out of it until it can be written again; the feed goes on",
        j->directory, strerror(-r));
}

static int say_hole(struct journal *j)
{
    const struct journal_lost lost = {j->disk_hole.bytes, j->disk_hole.first_ns, j->disk_hole.last_ns};
    const struct journal_record head = {
        .size = sizeof head + sizeof lost,
        .kind = JOURNAL_LOST,
        .flags = JOURNAL_LOST_DISK,
        .t_ns = lost.last_ns,
        .arg = j->disk_hole.records,
    };
    _Alignas(8) uint8_t room[sizeof head + sizeof lost];
    struct journal_block block = {0};
    (void)put_record(room, &block, &head, &lost);
    int r = write_block(j, &block, room);
    if (r == 0) {
        log_event(LOG_JOURNAL, "journal %s: written again; %llu records were left out", j->directory,
                  (unsigned long long)j->disk_hole.records);
        j->disk_hole = (struct journal_hole){0};
    }
    return r;
}

/* A file to write to, with room for so many bytes. */
static int ready(struct journal *j, uint64_t bytes, int64_t now)
{
    if (j->retry_ns && now < j->retry_ns)
        return -EAGAIN;
    bool old = j->options.rotate_s && now - j->opened_ns >= (int64_t)j->options.rotate_s * NS_PER_S;
    if (j->fd >= 0 && (old || j->good + sizeof(struct journal_block) + bytes > j->options.file_bytes))
        file_close(j);
    int r = j->fd < 0 ? journal_begin(j) : 0;
    if (r == 0 && j->disk_hole.records)
        r = say_hole(j);
    return r;
}

/* -------------------------------------------------------------------------------------------------- writer
 */

static void remember(struct journal *j, const struct journal_record *record)
{
    if (record->index >= j->options.symbols)
        return;
    struct journal_known *known = &j->known[record->index];
    if (record->kind == JOURNAL_SYMBOL && record->size == sizeof *record + sizeof known->name) {
        known->head = *record;
        memcpy(known->name, record + 1, sizeof known->name);
    } else if (record->kind == JOURNAL_RELEASE) {
        known->head.arg &= ~record->arg;
        if (known->head.arg == 0)
            known->head.flags &= (uint8_t)~JOURNAL_SYMBOL_HOLD;
    }
}

/* One block out of the ring, up to `head`. */
static void write_some(struct journal *j, uint64_t head, int64_t now)
{
    uint8_t *start = j->ring + (j->tail & (j->size - 1));
    struct journal_block block = {0};
    uint64_t bytes = 0;
    while (j->tail + bytes < head) {
        struct journal_record *record = (struct journal_record *)(void *)(start + bytes);
        uint64_t padded = journal_padded(record->size);
        if (bytes && bytes + padded > BLOCK_BYTES)
            break;
        journal_record_seal(record);
        block_note(&block, record);
        bytes += padded;
    }
    int r = ready(j, bytes, now);
    if (r == 0)
        r = write_block(j, &block, start);
    if (r < 0)
        leave_out(j, &block);
    if (r < 0 && r != -EAGAIN)
        fault(j, r, now);
    else if (r == 0)
        j->retry_ns = 0;
    for (uint64_t at = 0; at < bytes;) { /* only now: a file begun above must not know them yet */
        const struct journal_record *record = (const struct journal_record *)(const void *)(start + at);
        remember(j, record);
        at += journal_padded(record->size);
    }
    __atomic_store_n(&j->tail, j->tail + bytes, __ATOMIC_RELEASE);
}

static void sleep_ns(struct journal *j, int64_t ns)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME,
                  &at); /* sem_timedwait knows no other; a jump makes one flush early or late */
    at.tv_sec += (at.tv_nsec + ns) / NS_PER_S;
    at.tv_nsec = (at.tv_nsec + ns) % NS_PER_S;
    __atomic_store_n(&j->asleep, 1, __ATOMIC_RELAXED);
    while (sem_timedwait(&j->wake, &at) < 0 && errno == EINTR)
        ;
    __atomic_store_n(&j->asleep, 0, __ATOMIC_RELAXED);
}

void *journal_writer(void *user)
{
    struct journal *j = user;
    const int64_t flush_ns = (int64_t)j->options.flush_ms * 1000000;
    int64_t flushed = clock_mono_ns();
    for (;;) {
        bool stop = __atomic_load_n(&j->stop, __ATOMIC_ACQUIRE);
        uint64_t head = __atomic_load_n(&j->head, __ATOMIC_ACQUIRE);
        uint64_t there = head - j->tail;
        int64_t now = clock_mono_ns();
        if (there >= BLOCK_SOON || (there && (stop || now - flushed >= flush_ns))) {
            write_some(j, head, now);
            if (j->tail == head)
                flushed = now;
            continue;
        }
        if (stop)
            break;
        if (there == 0)
            flushed = now;
        sleep_ns(j, flush_ns - (now - flushed));
    }
    file_close(j);
    return NULL;
}
