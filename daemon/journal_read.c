#include "journal_read.h"

#include "journal_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCAN_BYTES  65536u
#define AHEAD_BYTES 256u /* of records that are on their way into the cache */
#define PLAIN       (1u << JOURNAL_FRAME | 1u << JOURNAL_BATCH) /* what may be passed over by a seek */

struct journal_reader {
    int fd;
    char *name;
    uint64_t size;
    struct journal_file file;
    journal_damaged *damaged;
    void *user;
    int64_t skip_ns;

    uint8_t *records; /* of the block */
    size_t room, have, at;
    struct journal_block block;
    uint64_t block_at;           /* its header's place */
    uint32_t index;              /* records of it handed out */
    uint64_t next;               /* where the next block should be */
    uint64_t seq;                /* of the next record */
    bool short_block;            /* the file ends within it */
    struct journal_ahead *ahead; /* NULL: none */
    bool got;                    /* the block at block_at came from it, with its records */
    size_t sound, text;          /* bytes of its records that were checked there */
};

static int fail(const struct journal_reader *r, int error, const char *what, char *err, size_t err_size)
{
    snprintf(err, err_size, "%s: at byte %llu: %s: %s", r->name, (unsigned long long)r->next, what,
             strerror(-error));
    return error;
}

static void damage(const struct journal_reader *r, uint64_t offset, uint64_t bytes, uint64_t records,
                   const char *what)
{
    const struct journal_damage d = {r->name, offset, bytes, records, what, offset + bytes >= r->size};
    if (r->damaged)
        r->damaged(r->user, &d);
}

/* Bytes read, fewer only where the file ends; negative errno. */
static int64_t read_at(int fd, void *to, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, (uint8_t *)to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

/* -------------------------------------------------------------------------------------------- open, close */

static int read_head(struct journal_reader *r, char *err, size_t err_size)
{
    struct stat st;
    if (fstat(r->fd, &st) < 0)
        return fail(r, -errno, "cannot be read", err, err_size);
    if (!S_ISREG(st.st_mode)) {
        snprintf(err, err_size, "%s: this is no file", r->name);
        return -EPROTO;
    }
    r->size = (uint64_t)st.st_size;
    int64_t n = read_at(r->fd, &r->file, sizeof r->file, 0);
    if (n < 0)
        return fail(r, (int)n, "cannot be read", err, err_size);
    const char *what =
        n < (int64_t)sizeof r->file ? "the file ends within its header" : journal_file_fault(&r->file);
    if (what) {
        snprintf(err, err_size, "%s: at byte 0: %s", r->name, what);
        return -EPROTO;
    }
    r->next = r->file.header_size;
    r->seq = r->file.first_seq;
    return 0;
}

int journal_reader_fd(struct journal_reader **ret, int fd, const char *name, journal_damaged *damaged,
                      void *user, char *err, size_t err_size)
{
    struct journal_reader *r = calloc(1, sizeof *r);
    if (!r) {
        close(fd);
        return -ENOMEM;
    }
    *r = (struct journal_reader){
        .fd = fd, .name = strdup(name), .damaged = damaged, .user = user, .skip_ns = INT64_MIN};
    int e = r->name ? read_head(r, err, err_size) : -ENOMEM;
    if (e < 0) {
        journal_reader_close(r);
        return e;
    }
    *ret = r;
    return 0;
}

int journal_reader_open(struct journal_reader **ret, const char *path, journal_damaged *damaged, void *user,
                        char *err, size_t err_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int e = -errno;
        snprintf(err, err_size, "%s: %s", path, strerror(-e));
        return e;
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return journal_reader_fd(ret, fd, path, damaged, user, err, err_size);
}

void journal_reader_close(struct journal_reader *r)
{
    if (!r)
        return;
    if (r->ahead)
        journal_ahead_stop(r->ahead);
    close(r->fd);
    free(r->name);
    free(r->records);
    free(r);
}

const struct journal_file *journal_reader_file(const struct journal_reader *r)
{
    return &r->file;
}

const char *journal_reader_name(const struct journal_reader *r)
{
    return r->name;
}

uint64_t journal_reader_size(const struct journal_reader *r)
{
    return r->size;
}

uint64_t journal_reader_seq(const struct journal_reader *r)
{
    return r->seq;
}

void journal_reader_skip(struct journal_reader *r, int64_t t_ns)
{
    r->skip_ns = t_ns;
}

void journal_reader_ahead(struct journal_reader *r, struct journal_ahead *ahead)
{
    r->ahead = ahead;
}

/* -------------------------------------------------------------------------------------------------- blocks
 */

/* The first place from `from` on where a whole block header lies; the file's end when there is none. */
static int64_t find_block(const struct journal_reader *r, uint64_t from)
{
    uint8_t bytes[SCAN_BYTES + sizeof(struct journal_block)];
    for (uint64_t at = from; at < r->size; at += SCAN_BYTES) {
        int64_t n = read_at(r->fd, bytes, sizeof bytes, at);
        if (n < 0)
            return n;
        for (size_t i = 0; i < SCAN_BYTES && i + sizeof(struct journal_block) <= (size_t)n; i += 8) {
            struct journal_block block;
            memcpy(&block, bytes + i, sizeof block);
            if (block.magic == JOURNAL_BLOCK_MAGIC && !journal_block_fault(&block))
                return (int64_t)(at + i);
        }
    }
    return (int64_t)r->size;
}

/* The next block, if it was read ahead. */
static bool take_ahead(struct journal_reader *r)
{
    struct journal_ahead_block b = {.records = r->records, .room = r->room};
    r->got = r->ahead && journal_ahead_take(r->ahead, r->next, &b);
    if (!r->got)
        return false;
    r->block_at = r->next;
    r->block = b.head;
    r->records = b.records;
    r->room = b.room;
    r->sound = b.sound;
    r->text = b.text;
    return true;
}

/* 1 and the header of the next whole block header in r->block; 0: no more. */
static int next_header(struct journal_reader *r, char *err, size_t err_size)
{
    for (;;) {
        uint64_t left = r->next < r->size ? r->size - r->next : 0;
        if (left == 0)
            return 0;
        if (take_ahead(r))
            return 1;
        r->block_at = r->next;
        int64_t n = read_at(r->fd, &r->block, sizeof r->block, r->block_at);
        if (n < 0)
            return fail(r, (int)n, "cannot be read", err, err_size);
        const char *what = n < (int64_t)sizeof r->block ? "the file ends within a block's header"
                                                        : journal_block_fault(&r->block);
        if (!what)
            return 1;
        int64_t found = find_block(r, r->block_at + 8);
        if (found < 0)
            return fail(r, (int)found, "cannot be read", err, err_size);
        damage(r, r->block_at, (uint64_t)found - r->block_at, 0, what);
        r->next = (uint64_t)found;
    }
}

static void begin_block(struct journal_reader *r, size_t have)
{
    r->have = have;
    r->at = 0;
    r->index = 0;
    r->next = r->block_at + sizeof r->block + r->block.bytes;
}

static int load(struct journal_reader *r, char *err, size_t err_size)
{
    uint64_t begin = r->block_at + sizeof r->block;
    uint64_t there = r->size - begin;
    if (r->got) {
        begin_block(r, r->block.bytes);
        r->short_block = false;
        return 1;
    }
    r->sound = r->text = 0;
    r->short_block = there < r->block.bytes;
    size_t want = r->short_block ? (size_t)there : r->block.bytes;
    if (want > r->room || !r->records) {
        uint8_t *records = realloc(r->records, want ? want : 1);
        if (!records)
            return fail(r, -ENOMEM, "a block", err, err_size);
        r->records = records;
        r->room = want;
    }
    int64_t n = read_at(r->fd, r->records, want, begin);
    if (n < 0)
        return fail(r, (int)n, "cannot be read", err, err_size);
    r->short_block |= (size_t)n < want;
    begin_block(r, (size_t)n);
    if (r->ahead && r->block.last_ns >= r->skip_ns)
        journal_ahead_start(r->ahead, r->fd, r->next);
    return 1;
}

static void check_seq(struct journal_reader *r)
{
    if (r->block.first_seq > r->seq)
        damage(r, r->block_at, 0, r->block.first_seq - r->seq, "records before this block are missing");
    else if (r->block.first_seq < r->seq)
        damage(r, r->block_at, 0, 0, "this block repeats record numbers");
    r->seq = r->block.first_seq;
}

static int next_block(struct journal_reader *r, char *err, size_t err_size)
{
    int found;
    while ((found = next_header(r, err, err_size)) == 1) {
        check_seq(r);
        uint64_t end = r->block_at + sizeof r->block + r->block.bytes;
        if (r->block.last_ns >= r->skip_ns || (r->block.kinds & ~PLAIN) != 0 || end > r->size)
            return load(r, err, err_size);
        r->seq += r->block.records;
        r->next = end;
    }
    return found;
}

/* What is left of the block cannot be used. */
static void give_up_block(struct journal_reader *r, const char *what)
{
    uint64_t offset = r->block_at + sizeof r->block + r->at;
    if (r->short_block)
        what = "the file ends within a block";
    uint64_t end = r->next < r->size ? r->next : r->size;
    damage(r, offset, offset < end ? end - offset : 0, r->block.records - r->index, what);
    r->seq = r->block.first_seq + r->block.records;
    r->at = r->have;
    r->index = r->block.records;
    if (r->short_block)
        r->next = r->size;
}

int journal_reader_next(struct journal_reader *r, struct journal_item *ret, char *err, size_t err_size)
{
    for (;;) {
        bool all = r->index == r->block.records;
        if (all && r->at == r->have) {
            int e = next_block(r, err, err_size);
            if (e <= 0)
                return e;
            continue;
        }
        struct journal_record *record = (struct journal_record *)(void *)(r->records + r->at);
        const char *what = NULL;
        if (all)
            what = "a block holds more than it says";
        else if (r->at >= r->sound)
            what = journal_record_fault(record, r->have - r->at);
        if (what) {
            give_up_block(r, what);
            continue;
        }
        *ret = (struct journal_item){
            .head = record,
            .data = (const uint8_t *)(record + 1),
            .size = record->size - sizeof *record,
            .seq = r->seq++,
            .offset = r->block_at + sizeof r->block + r->at,
            .text = r->at < r->text,
        };
        r->at += journal_padded(record->size);
        r->index++;
        for (size_t line = 0; line < AHEAD_BYTES; line += 64) /* another processor may have read it */
            __builtin_prefetch(r->records + r->at + AHEAD_BYTES + line);
        return 1;
    }
}

/* ---------------------------------------------------------------------------------------------------- tail
 */

static bool all_zero(const struct journal_reader *r, uint64_t from)
{
    uint8_t bytes[SCAN_BYTES];
    for (int64_t n; (n = read_at(r->fd, bytes, sizeof bytes, from)) > 0; from += (uint64_t)n)
        for (int64_t i = 0; i < n; i++)
            if (bytes[i])
                return false;
    return true;
}

/* Whole records of the block that the file ends in. */
static void tail_of_block(struct journal_reader *r, struct journal_tail *tail)
{
    struct journal_block kept = {
        .magic = JOURNAL_BLOCK_MAGIC, .header_size = sizeof kept, .first_seq = r->block.first_seq};
    while (r->at < r->have && kept.records < r->block.records) {
        const struct journal_record *record =
            (const struct journal_record *)(const void *)(r->records + r->at);
        if (journal_record_fault(record, r->have - r->at))
            break;
        if (kept.records++ == 0)
            kept.first_ns = kept.last_ns = record->t_ns;
        kept.first_ns = record->t_ns < kept.first_ns ? record->t_ns : kept.first_ns;
        kept.last_ns = record->t_ns > kept.last_ns ? record->t_ns : kept.last_ns;
        kept.kinds |= record->kind < 32 ? 1u << record->kind : 0;
        kept.bytes += (uint32_t)journal_padded(record->size);
        r->at += journal_padded(record->size);
    }
    journal_block_seal(&kept);
    tail->block_at = r->block_at;
    tail->block = kept;
    tail->end = kept.bytes ? r->block_at + sizeof kept + kept.bytes : r->block_at;
}

static int find_tail(struct journal_reader *r, struct journal_tail *ret, char *err, size_t err_size)
{
    struct journal_tail tail = {.end = r->next};
    while (r->next < r->size) {
        uint64_t at = r->next;
        int e = next_header(r, err, err_size);
        if (e < 0)
            return e;
        if (e == 0) { /* no block from here on: torn within a header, or never written by a dying machine */
            tail.end = at;
            tail.torn = r->size - at;
            bool torn = tail.torn < sizeof(struct journal_block) || all_zero(r, at);
            *ret = tail;
            return torn;
        }
        r->next = r->block_at + sizeof r->block + r->block.bytes;
        if (r->next <= r->size)
            continue;
        e = load(r, err, err_size);
        if (e < 0)
            return e;
        tail_of_block(r, &tail);
        tail.torn = r->size - tail.end;
        *ret = tail;
        return 1;
    }
    return 0;
}

int journal_tail(int fd, const char *name, struct journal_tail *ret, char *err, size_t err_size)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_size < (off_t)sizeof(struct journal_file)) {
        *ret = (struct journal_tail){.torn = (uint64_t)st.st_size};
        return 1;
    }
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return -errno;
    struct journal_reader *r;
    int e = journal_reader_fd(&r, own, name, NULL, NULL, err, err_size);
    if (e < 0)
        return e;
    e = find_tail(r, ret, err, err_size);
    journal_reader_close(r);
    return e;
}
