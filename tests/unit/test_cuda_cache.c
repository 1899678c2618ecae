/* Compiled kernels on disk: what is found is what was kept, whole, and by nobody else's hand. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda/cache.h"
#include "cuda/digest.h"

static char top[64];

static int begin(void **state)
{
    (void)state;
    strcpy(top, "/tmp/polygond-test-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    return system(command);
}

static const char *below(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", top, name);
    return path[turn];
}

static struct pgk_cache *cache_open(const char *directory)
{
    char why[256] = "";
    struct pgk_cache *cache = NULL;
    if (pgk_cache_open(&cache, directory, why, sizeof why) < 0)
        fail_msg("%s", why);
    return cache;
}

static const uint8_t *key(unsigned n)
{
    static uint8_t k[32];
    memset(k, 0x5a, sizeof k);
    memcpy(k, &n, sizeof n);
    return k;
}

static const char *entry(unsigned n)
{
    char name[80];
    for (int i = 0; i < 32; i++)
        snprintf(name + 2 * i, 3, "%02x", key(n)[i]);
    strcat(name, ".krn");
    return below(name);
}

static void has(struct pgk_cache *cache, unsigned n, uint32_t kind, const void *data, size_t size)
{
    uint32_t got_kind = 99;
    void *got = NULL;
    size_t got_size = 0;
    assert_int_equal(pgk_cache_get(cache, key(n), &got_kind, &got, &got_size), 0);
    assert_int_equal(got_kind, kind);
    assert_int_equal(got_size, size);
    assert_memory_equal(got, data, size);
    assert_int_equal(((char *)got)[size], 0);
    free(got);
}

static void lacks(struct pgk_cache *cache, unsigned n)
{
    uint32_t kind = 99;
    void *data = NULL;
    size_t size = 77;
    assert_int_equal(pgk_cache_get(cache, key(n), &kind, &data, &size), -ENOENT);
    assert_true(kind == 99 && !data && size == 77);
}

static void write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

static size_t read_file(const char *path, void *data, size_t size)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, data, size);
    close(fd);
    return (size_t)n;
}

static unsigned count_files(void)
{
    unsigned n = 0;
    DIR *d = opendir(top);
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_type == DT_REG;
    closedir(d);
    return n;
}

static void set_age(const char *path, time_t seconds)
{
    struct timespec t[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

/* --------------------------------------------------------------------------------------------------- tests
 */

static void digest_is(const void *data, size_t size, const char *wanted)
{
    struct pgk_digest d;
    uint8_t got[32];
    char text[65];
    pgk_digest_init(&d);
    pgk_digest_add(&d, data, size);
    pgk_digest_end(&d, got);
    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", got[i]);
    assert_string_equal(text, wanted);
}

/* The examples of FIPS 180, and every length around a block in every two pieces. */
static void test_digest(void **state)
{
    (void)state;
    static char a[1000000];
    memset(a, 'a', sizeof a);
    digest_is("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_is("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    digest_is(a, sizeof a, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (size_t size = 50; size < 140; size++) {
        uint8_t whole[32], parts[32];
        struct pgk_digest d;
        pgk_digest_init(&d);
        pgk_digest_add(&d, a, size);
        pgk_digest_end(&d, whole);
        for (size_t cut = 0; cut <= size; cut++) {
            pgk_digest_init(&d);
            pgk_digest_add(&d, a, cut);
            pgk_digest_add(&d, a + cut, size - cut);
            pgk_digest_end(&d, parts);
            assert_memory_equal(whole, parts, 32);
        }
    }
}

static void test_keeps(void **state)
{
    (void)state;
    struct stat st;
    umask(0);
    struct pgk_cache *cache = cache_open(below("a/b/c"));
    assert_string_equal(pgk_cache_path(cache), below("a/b/c"));
    assert_int_equal(stat(below("a/b/c"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(below("a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    pgk_cache_close(cache);

    cache = cache_open(top);
    lacks(cache, 1);
    assert_int_equal(pgk_cache_put(cache, key(1), 1, "one", 3), 0);
    assert_int_equal(pgk_cache_put(cache, key(2), 2, "", 0), 0);
    has(cache, 1, 1, "one", 3);
    has(cache, 2, 2, "", 0);
    lacks(cache, 3);
    assert_int_equal(stat(entry(1), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(pgk_cache_put(cache, key(1), 2, "eins", 4), 0);
    has(cache, 1, 2, "eins", 4);
    assert_int_equal(count_files(), 2);
    pgk_cache_close(cache);
    cache = cache_open(top);
    has(cache, 1, 2, "eins", 4);
    pgk_cache_close(cache);
    pgk_cache_close(NULL);
}

/* Cut at every byte, every byte changed, one too many, another's name: never found, and gone afterwards. */
static void test_damage(void **state)
{
    (void)state;
    char file[256], bad[257];
    struct pgk_cache *cache = cache_open(top);
    assert_int_equal(pgk_cache_put(cache, key(1), 1, "the content", 11), 0);
    size_t size = read_file(entry(1), file, sizeof file);
    assert_int_equal(size, 88 + 11);
    for (size_t n = 0; n < size; n++) {
        write_file(entry(1), file, n);
        lacks(cache, 1);
        assert_int_equal(access(entry(1), F_OK), -1);
        memcpy(bad, file, size);
        bad[n] ^= (char)(1 << n % 8);
        write_file(entry(1), bad, size);
        lacks(cache, 1);
        assert_int_equal(access(entry(1), F_OK), -1);
    }
    memcpy(bad, file, size);
    bad[size] = 0;
    write_file(entry(1), bad, size + 1);
    lacks(cache, 1);
    write_file(entry(2), file, size);
    lacks(cache, 2);
    write_file(entry(1), file, size);
    has(cache, 1, 1, "the content", 11);
    pgk_cache_close(cache);
}

/* Things under an entry's name that are no files of ours. */
static void test_foreign(void **state)
{
    (void)state;
    char file[256];
    struct pgk_cache *cache = cache_open(top);
    assert_int_equal(pgk_cache_put(cache, key(1), 1, "good", 4), 0);
    assert_int_equal(rename(entry(1), below("elsewhere")), 0);
    assert_int_equal(symlink("elsewhere", entry(1)), 0);
    lacks(cache, 1);
    assert_int_equal(mkfifo(entry(1), 0600), 0);
    lacks(cache, 1);
    assert_int_equal(mkdir(entry(1), 0700), 0);
    lacks(cache, 1);
    assert_true(pgk_cache_put(cache, key(1), 1, "good", 4) < 0);
    assert_int_equal(rmdir(entry(1)), 0);
    size_t size = read_file(below("elsewhere"), file, sizeof file);
    write_file(entry(1), file, size);
    assert_int_equal(chmod(entry(1), 0620), 0);
    lacks(cache, 1);
    write_file(entry(1), file, size);
    assert_int_equal(chmod(entry(1), 0644), 0);
    has(cache, 1, 1, "good", 4);
    if (geteuid() == 0) {
        assert_int_equal(chown(entry(1), 12345, 12345), 0);
        lacks(cache, 1);
    }
    pgk_cache_close(cache);
}

static void refused(const char *directory, int error, const char *text)
{
    char why[512] = "";
    struct pgk_cache *cache = NULL;
    assert_int_equal(pgk_cache_open(&cache, directory, why, sizeof why), error);
    assert_null(cache);
    if (!strstr(why, text))
        assert_string_equal(why, text);
}

static void test_refuses(void **state)
{
    (void)state;
    static const mode_t modes[] = {0770, 0707, 0777, 01777, 0720};
    assert_int_equal(mkdir(below("open"), 0700), 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(below("open"), modes[i]), 0);
        refused(below("open"), -EPERM, "refused: others may write there");
    }
    assert_int_equal(chmod(below("open"), 0755), 0);
    pgk_cache_close(cache_open(below("open")));
    if (geteuid() == 0) {
        assert_int_equal(chown(below("open"), 12345, 12345), 0);
        refused(below("open"), -EPERM, "refused: it belongs to another user");
    }
    write_file(below("file"), "", 0);
    refused(below("file"), -ENOTDIR, "Not a directory");
    refused(below("file/below"), -ENOTDIR, "Not a directory");
    char longer[5000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    refused(longer, -ENAMETOOLONG, "no kernel cache");
}

static void chosen(const char *wanted)
{
    struct pgk_cache *cache = cache_open(NULL);
    assert_string_equal(pgk_cache_path(cache), wanted);
    pgk_cache_close(cache);
}

static void test_where(void **state)
{
    (void)state;
    char list[256];
    snprintf(list, sizeof list, "%s/service:%s/other", top, top);
    setenv("CACHE_DIRECTORY", list, 1);
    setenv("XDG_CACHE_HOME", below("xdg"), 1);
    setenv("HOME", below("home"), 1);
    chosen(below("service"));
    setenv("CACHE_DIRECTORY", "relative", 1);
    chosen(below("xdg/polygond"));
    unsetenv("CACHE_DIRECTORY");
    setenv("XDG_CACHE_HOME", "", 1);
    chosen(below("home/.cache/polygond"));
    unsetenv("HOME");
    refused(NULL, -ENOENT, "no kernel cache: CACHE_DIRECTORY, XDG_CACHE_HOME and HOME are not set");
}

/* The last used stay. */
static void test_bounds(void **state)
{
    (void)state;
    struct pgk_cache *cache = cache_open(top);
    for (unsigned n = 0; n < PGK_CACHE_ENTRIES; n++) {
        assert_int_equal(pgk_cache_put(cache, key(n), 1, &n, sizeof n), 0);
        set_age(entry(n), 1000 - (time_t)n);
    }
    unsigned first = 0;
    has(cache, 0, 1, &first, sizeof first); /* used again: no longer the oldest */
    write_file(below("README"), "not ours", 8);
    write_file(below(".new-1-0"), "left", 4);
    write_file(below(".new-2-0"), "being written", 4);
    set_age(below("README"), 100000);
    set_age(below(".new-1-0"), 100000);
    assert_int_equal(pgk_cache_put(cache, key(1000), 1, "new", 3), 0);
    assert_int_equal(count_files(), PGK_CACHE_ENTRIES + 2);
    lacks(cache, 1);
    has(cache, 0, 1, &first, sizeof first);
    assert_int_equal(access(below("README"), F_OK), 0);
    assert_int_equal(access(below(".new-1-0"), F_OK), -1);
    assert_int_equal(access(below(".new-2-0"), F_OK), 0);

    size_t size = PGK_CACHE_ENTRY_SIZE;
    char *big = calloc(1, size + 1);
    assert_int_equal(pgk_cache_put(cache, key(2000), 1, big, size + 1), -EFBIG);
    for (unsigned n = 2000; n < 2004; n++) {
        assert_int_equal(pgk_cache_put(cache, key(n), 1, big, size), 0);
        set_age(entry(n), 2100 - (time_t)n - 50);
    }
    free(big);
    uint64_t sum = 0;
    DIR *d = opendir(top);
    for (const struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (strstr(e->d_name, ".krn") && stat(below(e->d_name), &st) == 0)
            sum += (uint64_t)st.st_size;
    }
    closedir(d);
    assert_true(sum <= PGK_CACHE_SIZE && sum >= 2 * size);
    assert_int_equal(access(entry(2003), F_OK), 0);
    assert_int_equal(access(entry(2), F_OK), -1);
    pgk_cache_close(cache);
}

/* A directory that has vanished: an error, nothing else. */
static void test_vanished(void **state)
{
    (void)state;
    struct pgk_cache *cache = cache_open(below("gone"));
    assert_int_equal(rmdir(below("gone")), 0);
    lacks(cache, 1);
    assert_int_equal(pgk_cache_put(cache, key(1), 1, "x", 1), -ENOENT);
    pgk_cache_close(cache);
}

#define KEYS 4

static size_t content(unsigned n, unsigned version, char *data)
{
    size_t size = 1000 + 3000 * n + 97 * version;
    memset(data, (int)('a' + n), size);
    data[0] = (char)version;
    return size;
}

/* Writes and reads the same few keys; exit status 1: something else was found than anybody kept. */
static void worker(unsigned seed, unsigned rounds)
{
    static char data[65536];
    char why[256];
    struct pgk_cache *cache;
    if (pgk_cache_open(&cache, top, why, sizeof why) < 0)
        _exit(2);
    for (unsigned i = 0; i < rounds; i++) {
        unsigned n = (seed + i) % KEYS;
        uint32_t kind;
        void *got;
        size_t size = content(n, (seed + i) % 50, data);
        if (pgk_cache_put(cache, key(n), n, data, size) < 0)
            _exit(3);
        n = (seed + 3 * i) % KEYS;
        int r = pgk_cache_get(cache, key(n), &kind, &got, &size);
        if (r < 0 && r != -ENOENT)
            _exit(4);
        if (r == 0) {
            size_t wanted = content(n, ((unsigned char *)got)[0], data);
            if (kind != n || size != wanted || memcmp(got, data, size) != 0)
                _exit(1);
            free(got);
        }
    }
    pgk_cache_close(cache);
    _exit(0);
}

/* Three processes at once, and one that is killed again and again. */
static void test_processes(void **state)
{
    (void)state;
    pid_t pids[3];
    for (unsigned i = 0; i < 3; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            worker(i * 7, 300);
    }
    for (unsigned i = 0; i < 20; i++) {
        pid_t victim = fork();
        if (victim == 0)
            worker(i, 1000000);
        usleep(3000 + 500 * i);
        kill(victim, SIGKILL);
        assert_int_equal(waitpid(victim, NULL, 0), victim);
    }
    for (unsigned i = 0; i < 3; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    struct pgk_cache *cache = cache_open(top);
    for (unsigned n = 0; n < KEYS; n++) {
        uint32_t kind;
        void *got = NULL;
        size_t size;
        assert_int_equal(pgk_cache_get(cache, key(n), &kind, &got, &size), 0);
        free(got);
    }
    pgk_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest),
        cmocka_unit_test_setup_teardown(test_keeps, begin, end),
        cmocka_unit_test_setup_teardown(test_damage, begin, end),
        cmocka_unit_test_setup_teardown(test_foreign, begin, end),
        cmocka_unit_test_setup_teardown(test_refuses, begin, end),
        cmocka_unit_test_setup_teardown(test_where, begin, end),
        cmocka_unit_test_setup_teardown(test_bounds, begin, end),
        cmocka_unit_test_setup_teardown(test_vanished, begin, end),
        cmocka_unit_test_setup_teardown(test_processes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
