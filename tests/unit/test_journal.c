/* The journal: what is put is read back, whatever happens to the file, the disk and the ring in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "journal.h"
#include "journal_ahead.h"
#include "journal_read.h"
#include "ws.h"

#define NAME_MAX_ 300

static char folder[200];

static struct journal_options options_of(void)
{
    return (struct journal_options){.directory = folder,
                                    .instance = "t",
                                    .config = "instance: t\n",
                                    .buffer_bytes = 1 << 20,
                                    .file_bytes = 64 << 20,
                                    .flush_ms = 10,
                                    .symbols = 4,
                                    .mode = 0600};
}

static void path_of(char path[NAME_MAX_], unsigned number)
{
    snprintf(path, NAME_MAX_, "%s/t-%08u.pgj", folder, number);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/polygond-journal-%ld-XXXXXX", (long)getpid());
    return mkdtemp(folder) ? 0 : -1;
}

static unsigned count_files(void)
{
    unsigned n = 0;
    DIR *dir = opendir(folder);
    for (const struct dirent *d; dir && (d = readdir(dir));)
        n += d->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static int teardown(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    for (const struct dirent *d; dir && (d = readdir(dir));)
        if (d->d_name[0] != '.')
            unlinkat(dirfd(dir), d->d_name, 0);
    closedir(dir);
    return rmdir(folder);
}

/* Frame i: its length and bytes follow from i. */
static size_t frame_of(unsigned i, uint8_t *data)
{
    size_t n = i * 37 % 200;
    for (size_t k = 0; k < n; k++)
        data[k] = (uint8_t)(i + k);
    return n;
}

static void put_frame(struct journal *j, unsigned i)
{
    uint8_t data[256];
    size_t n = frame_of(i, data);
    journal_put(j, &(struct journal_entry){.kind = JOURNAL_FRAME, .cluster = 1, .index = i, .t_ns = 1000 + i},
                data, n);
}

static struct journal *open_journal(const struct journal_options *o)
{
    char err[300] = "";
    struct journal *j = NULL;
    int r = journal_open(&j, o, err, sizeof err);
    if (r < 0)
        fail_msg("%s", err);
    return j;
}

struct seen {
    unsigned frames, first, last; /* index of the frames */
    unsigned damages, tails;
    uint64_t missing;
    unsigned configs, symbols, lost, ends;
    uint64_t lost_records;
    uint8_t lost_flags;
};

static void on_damage(void *user, const struct journal_damage *d)
{
    struct seen *s = user;
    s->damages++;
    s->tails += d->tail;
    s->missing += d->records;
    assert_non_null(d->what);
}

static unsigned texts; /* records known to be text before they were looked at */

static void look(struct seen *s, const struct journal_item *item)
{
    uint8_t data[256];
    texts += item->text;
    if (item->text && item->head->kind == JOURNAL_FRAME)
        assert_true(ws_is_utf8(item->data, item->size));
    switch (item->head->kind) {
    case JOURNAL_FRAME:
        assert_int_equal(item->size, frame_of(item->head->index, data));
        assert_memory_equal(item->data, data, item->size);
        assert_int_equal(item->head->t_ns, 1000 + item->head->index);
        if (s->frames++ == 0)
            s->first = item->head->index;
        else
            assert_true(item->head->index > s->last);
        s->last = item->head->index;
        break;
    case JOURNAL_CONFIG:
        assert_memory_equal(item->data, "instance: t\n", item->size);
        s->configs++;
        break;
    case JOURNAL_SYMBOL:
        s->symbols++;
        break;
    case JOURNAL_LOST:
        s->lost++;
        s->lost_flags |= item->head->flags;
        s->lost_records += item->head->arg;
        break;
    case JOURNAL_END:
        s->ends++;
        break;
    default:
        fail();
    }
}

static struct journal_ahead *ahead;

static int read_way(int fd, struct seen *s, bool with_ahead)
{
    char err[300];
    struct journal_reader *r;
    *s = (struct seen){0};
    int e = journal_reader_fd(&r, fd, "file", on_damage, s, err, sizeof err);
    if (e < 0) {
        assert_non_null(strstr(err, "file: "));
        return e;
    }
    if (with_ahead)
        journal_reader_ahead(r, ahead);
    struct journal_item item;
    while ((e = journal_reader_next(r, &item, err, sizeof err)) == 1)
        look(s, &item);
    journal_reader_close(r);
    return e;
}

/* Both ways of reading find the same. -EPROTO: the header itself is gone. */
static int read_fd(int fd, struct seen *s)
{
    struct seen other = {0};
    int again = read_way(dup(fd), &other, true);
    int e = read_way(fd, s, false);
    assert_int_equal(e, again);
    assert_memory_equal(s, &other, sizeof other);
    return e;
}

static struct seen read_set(void)
{
    struct seen s = {0};
    char err[300], *paths[] = {folder};
    struct journal_set *set;
    struct journal_item item;
    if (journal_set_open(&set, paths, 1, on_damage, &s, err, sizeof err) < 0)
        fail_msg("%s", err);
    journal_set_ahead(set);
    while (journal_set_next(set, &item, NULL, err, sizeof err) == 1)
        look(&s, &item);
    journal_set_close(set);
    return s;
}

static void test_crc(void **state)
{
    (void)state;
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 13);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_plain(0, "123456789", 9), 0xe3069283);
    for (size_t n = 0; n < 100; n++)
        for (size_t from = 0; from < 9; from++)
            assert_int_equal(crc32c(0, data + from, n), crc32c_plain(0, data + from, n));
    assert_int_equal(crc32c(crc32c(0, data, 333), data + 333, 667), crc32c(0, data, 1000));
}

static void test_written_and_read(void **state)
{
    (void)state;
    struct journal_options o = options_of();
    struct journal *j = open_journal(&o);
    for (unsigned i = 0; i < 20000; i++) {
        put_frame(j, i);
        if (i % 500 == 0) /* small ring: give the thread its time */
            usleep(2000);
    }
    journal_close(j);
    struct seen s = read_set();
    assert_int_equal(s.frames + s.lost_records, 20000);
    assert_int_equal(s.damages, 0);
    assert_int_equal(s.configs, 1);
    assert_int_equal(s.ends, 1);
}

static void test_patience_loses_nothing(void **state)
{
    (void)state;
    struct journal_options o = options_of();
    struct journal *j = open_journal(&o);
    journal_patient(j, true);
    for (unsigned i = 0; i < 50000; i++)
        put_frame(j, i);
    struct journal_counts c;
    journal_counts(j, &c);
    assert_int_equal(c.lost, 0);
    journal_close(j);
    struct seen s = read_set();
    assert_int_equal(s.frames, 50000);
    assert_int_equal(s.lost + s.damages, 0);
}

/* Until more than `seen` bytes are in files. */
static void wait_written(const struct journal *j, uint64_t *seen)
{
    struct journal_counts now;
    do {
        usleep(200);
        journal_counts(j, &now);
    } while (now.bytes == *seen);
    *seen = now.bytes;
}

/* A small whole file in memory. */
static uint8_t *make_file(size_t *ret_size, unsigned frames)
{
    char path[NAME_MAX_];
    struct journal_options o = options_of();
    o.flush_ms = 1;
    struct journal *j = open_journal(&o);
    uint64_t seen = 0;
    char name[PGD_SYMBOL_MAX] = "AAPL";
    journal_put(j, &(struct journal_entry){.kind = JOURNAL_SYMBOL, .flags = JOURNAL_SYMBOL_HELD, .t_ns = 999},
                name, sizeof name);
    for (unsigned i = 0; i < frames; i++) {
        put_frame(j, i);
        if (i % 5 == 4) /* a block each */
            wait_written(j, &seen);
    }
    journal_close(j);
    path_of(path, 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    uint8_t *bytes = malloc((size_t)st.st_size);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    *ret_size = (size_t)st.st_size;
    return bytes;
}

static int memory_file(const uint8_t *bytes, size_t size)
{
    int fd = memfd_create("journal", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    return fd;
}

/* Cut at every byte: what is read is what lay whole before the cut; repaired, the file is whole again. */
static void test_cut_everywhere(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = make_file(&size, 30);
    unsigned last = 0;
    for (size_t cut = 0; cut <= size; cut++) {
        struct seen s, again;
        struct journal_tail tail;
        char err[300];
        int fd = memory_file(bytes, cut);
        int keep = dup(fd);
        int r = read_fd(fd, &s);
        if (cut < sizeof(struct journal_file)) {
            assert_int_equal(r, -EPROTO);
            close(keep);
            continue;
        }
        assert_int_equal(r, 0);
        assert_true(s.frames == 0 || s.first == 0);
        assert_true(s.frames >= last);
        assert_true(s.frames <= last + 1);
        last = s.frames;
        assert_true(s.damages == s.tails && s.damages <= 1);
        r = journal_tail(keep, "file", &tail, err, sizeof err);
        assert_int_equal(r, s.damages);
        if (r == 1) {
            assert_int_equal(ftruncate(keep, (off_t)tail.end), 0);
            if (tail.block.bytes)
                assert_int_equal(pwrite(keep, &tail.block, sizeof tail.block, (off_t)tail.block_at),
                                 sizeof tail.block);
            assert_int_equal(tail.end + tail.torn, cut);
        }
        assert_int_equal(read_fd(keep, &again), 0);
        assert_int_equal(again.frames, s.frames);
        assert_int_equal(again.damages, 0);
    }
    assert_int_equal(last, 30);
    assert_true(texts > 0);
    free(bytes);
}

/* One bit flipped, each in turn: no wrong record is ever handed out, and what is missing is told. */
static void test_flip_everywhere(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = make_file(&size, 12);
    int fd = memory_file(bytes, size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        uint8_t flipped = bytes[bit / 8] ^ (uint8_t)(1u << bit % 8);
        struct seen s;
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)(bit / 8)), 1);
        int r = read_fd(dup(fd), &s);
        if (bit / 8 < sizeof(struct journal_file)) {
            assert_int_equal(r, -EPROTO);
        } else {
            assert_int_equal(r, 0);
            assert_true(s.damages > 0);
        }
        assert_int_equal(pwrite(fd, &bytes[bit / 8], 1, (off_t)(bit / 8)), 1);
    }
    close(fd);
    free(bytes);
}

/* A damaged block costs its own records and no others. */
static void test_damage_is_local(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = make_file(&size, 30);
    struct journal_file file;
    memcpy(&file, bytes, sizeof file);
    struct journal_block first, second;
    memcpy(&first, bytes + file.header_size, sizeof first);
    size_t at = file.header_size + sizeof first + first.bytes;
    memcpy(&second, bytes + at, sizeof second);
    bytes[at] ^= 1; /* its magic */
    struct seen s;
    assert_int_equal(read_fd(memory_file(bytes, size), &s), 0);
    assert_int_equal(s.damages, 2); /* the bytes, and the records missing before the next block */
    assert_int_equal(s.missing, second.records);
    assert_int_equal(s.frames + second.records, 31); /* frames and the symbol */
    assert_int_equal(s.last, 29);
    free(bytes);
}

static void test_tail_cut_at_opening(void **state)
{
    (void)state;
    size_t size;
    free(make_file(&size, 30));
    char path[NAME_MAX_];
    path_of(path, 1);
    assert_int_equal(truncate(path, (off_t)size - 50), 0);
    struct journal_options o = options_of();
    struct journal *j = open_journal(&o);
    struct journal_counts c;
    journal_counts(j, &c);
    assert_true(c.cut_bytes > 0);
    for (unsigned i = 100; i < 110; i++)
        put_frame(j, i);
    journal_close(j);
    struct seen s = read_set();
    assert_int_equal(s.damages, 0);
    assert_true(s.frames >= 39 && s.frames <= 40);
    assert_int_equal(s.last, 109);
    assert_int_equal(s.configs, 2);
    /* of a file that never got its header nothing stays */
    path_of(path, 2);
    assert_int_equal(truncate(path, 20), 0);
    journal_close(open_journal(&o));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(read_set().damages, 0);
}

static void test_rotation_and_retention(void **state)
{
    (void)state;
    struct journal_options o = options_of();
    o.file_bytes = 32768;
    o.keep_bytes = 4 * 32768;
    o.flush_ms = 1;
    struct journal *j = open_journal(&o);
    char name[PGD_SYMBOL_MAX] = "MSFT";
    journal_put(
        j,
        &(struct journal_entry){
            .kind = JOURNAL_SYMBOL, .flags = JOURNAL_SYMBOL_HELD, .cluster = 1, .index = 2, .t_ns = 5},
        name, sizeof name);
    for (unsigned i = 0; i < 5000; i++) {
        put_frame(j, i);
        if (i % 50 == 49)
            usleep(3000);
    }
    struct journal_counts c;
    journal_close(j);
    struct seen s = read_set();
    assert_true(count_files() <= 4);
    assert_int_equal(s.damages, 0);
    assert_int_equal(s.last, 4999);
    assert_int_equal(s.frames, 5000 - s.first); /* the newest, without a hole */
    assert_true(s.first > 0);
    assert_int_equal(s.configs, count_files());
    assert_int_equal(s.symbols, count_files()); /* each file begins with the symbols */
    o.keep_bytes = 0;
    o.keep_days = 1;
    char path[NAME_MAX_];
    for (unsigned i = 1; i < 100; i++) {
        path_of(path, i);
        const struct timespec old[2] = {{1000, 0}, {1000, 0}};
        (void)utimensat(AT_FDCWD, path, old, 0);
    }
    j = open_journal(&o);
    journal_counts(j, &c);
    assert_true(c.files_removed > 0);
    assert_int_equal(count_files(), 1);
    journal_close(j);
}

/* A limit on the file's size stands in for a full disk. */
static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct journal_options o = options_of();
    o.flush_ms = 1;
    struct journal *j = open_journal(&o);
    for (unsigned i = 0; i < 100; i++)
        put_frame(j, i);
    usleep(50000);
    small = (struct rlimit){20000, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct journal_counts c = {0};
    unsigned i = 100;
    for (; i < 1000000 && c.faults == 0; i++) {
        put_frame(j, i);
        if (i % 20 == 0)
            usleep(3000);
        journal_counts(j, &c);
    }
    assert_true(c.faults > 0 && c.lost > 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    usleep(1100000); /* it tries again once a second */
    unsigned end = i + 100;
    for (; i < end; i++)
        put_frame(j, i);
    usleep(50000);
    journal_counts(j, &c);
    journal_close(j);
    struct seen s = read_set();
    assert_int_equal(s.damages, 0);
    assert_int_equal(s.last, end - 1);
    assert_int_equal(s.lost, 1);
    assert_int_equal(s.lost_flags, JOURNAL_LOST_DISK);
    assert_int_equal(s.frames + s.lost_records, end);
    assert_int_equal(s.lost_records, c.lost);
}

static void test_slow_disk(void **state)
{
    (void)state;
    struct journal_options o = options_of();
    static uint8_t large[600 << 10];
    struct journal *j = open_journal(&o);
    for (unsigned i = 0; i < 100000; i++) /* faster than any thread gets to run */
        put_frame(j, i);
    usleep(100000);
    journal_put(j, &(struct journal_entry){.kind = JOURNAL_FRAME, .index = 100000, .t_ns = 101000}, large,
                sizeof large);
    put_frame(j, 100001);
    struct journal_counts c;
    journal_counts(j, &c);
    journal_close(j);
    struct seen s = read_set();
    assert_int_equal(s.damages, 0);
    assert_true(s.lost > 0);
    assert_int_equal(s.lost_records, c.lost);
    assert_int_equal(s.frames + s.lost_records, 100002);
    assert_true(s.lost_flags & JOURNAL_LOST_SIZE);
    assert_int_equal(s.last, 100001);
}

static void test_seek(void **state)
{
    (void)state;
    size_t size;
    free(make_file(&size, 30));
    struct seen s = {0};
    char err[300], *paths[] = {folder};
    struct journal_set *set;
    struct journal_item item;
    assert_int_equal(journal_set_open(&set, paths, 1, on_damage, &s, err, sizeof err), 0);
    journal_set_skip(set, 1000 + 20);
    while (journal_set_next(set, &item, NULL, err, sizeof err) == 1)
        look(&s, &item);
    journal_set_close(set);
    assert_int_equal(s.damages, 0);
    assert_int_equal(s.symbols, 1);
    assert_int_equal(s.last, 29);
    assert_true(s.frames < 30); /* of the blocks before, only what holds more than frames was read */
}

/* Files that are passed over whole are not missing. */
static void test_seek_over_files(void **state)
{
    (void)state;
    struct journal_options o = options_of();
    o.file_bytes = 32768;
    o.flush_ms = 1;
    struct journal *j = open_journal(&o);
    journal_patient(j, true);
    for (unsigned i = 0; i < 2000; i++) {
        put_frame(j, i);
        if (i % 50 == 49)
            usleep(3000);
    }
    journal_close(j);
    assert_true(count_files() > 3);
    struct seen s = {0};
    char err[300], path[NAME_MAX_], *paths[] = {folder, path};
    struct journal_set *set;
    struct journal_item item;
    assert_int_equal(journal_set_open(&set, paths, 1, on_damage, &s, err, sizeof err), 0);
    journal_set_skip(set, INT64_MAX);
    while (journal_set_next(set, &item, NULL, err, sizeof err) == 1)
        ;
    journal_set_close(set);
    assert_int_equal(s.damages, 0);
    path_of(path, 2);
    assert_int_equal(journal_set_open(&set, paths, 2, on_damage, &s, err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "give it once"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(journal_set_open(&set, paths, 1, on_damage, &s, err, sizeof err), 0);
    journal_set_skip(set, INT64_MAX);
    while (journal_set_next(set, &item, NULL, err, sizeof err) == 1)
        ;
    journal_set_close(set);
    assert_int_equal(s.damages, 1);
    assert_true(s.missing > 0);
}

static void test_what_is_no_journal(void **state)
{
    (void)state;
    char err[300], path[NAME_MAX_], *paths[] = {folder};
    struct journal_set *set;
    assert_int_equal(journal_set_open(&set, paths, 1, NULL, NULL, err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "no .pgj"));
    path_of(path, 1);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "hello", 5), 5);
    close(fd);
    assert_int_equal(journal_set_open(&set, paths, 1, NULL, NULL, err, sizeof err), -EPROTO);
    assert_non_null(strstr(err, path));
    paths[0] = path;
    unlink(path);
    assert_int_equal(journal_set_open(&set, paths, 1, NULL, NULL, err, sizeof err), -ENOENT);
    assert_non_null(strstr(err, path));
    struct journal_options o = options_of();
    o.directory = "/proc/nowhere";
    struct journal *j;
    assert_true(journal_open(&j, &o, err, sizeof err) < 0);
    assert_non_null(strstr(err, "/proc/nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),
        cmocka_unit_test_setup_teardown(test_written_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patience_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_everywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flip_everywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_local, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail_cut_at_opening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation_and_retention, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seek, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seek_over_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_journal, setup, teardown),
    };
    if (journal_ahead_new(&ahead) < 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    journal_ahead_free(ahead);
    return failed;
}
