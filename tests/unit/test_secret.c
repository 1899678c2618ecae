/* secret: sources and their order, refusals, and that no other copy of the key stays where it was read. */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The sanitizers turn mlock into nothing. */
#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Under qemu-user a forked child may hang, advice on memory is dropped, and /proc tells of qemu. */
static bool emulated(void)
{
    char name[32] = "";
    FILE *f = fopen("/proc/self/comm", "re");
    bool is = f && fgets(name, sizeof(name), f) && strncmp(name, "qemu-", 5) == 0;
    if (f)
        fclose(f);
    return is;
}

static char dir[64];
static char path[96];

static void put(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void expect_key(const char *file, const char *want)
{
    struct secret *s = NULL;
    char err[256] = "";
    int r = secret_load(&s, file, err, sizeof(err));
    if (r < 0)
        print_error("%s\n", err);
    assert_int_equal(r, 0);
    assert_string_equal(secret_text(s), want);
    assert_int_equal(secret_size(s), strlen(want));
    secret_free(s);
    assert_null(getenv("POLYGON_API_KEY"));
}

static void expect_refusal(const char *file, int error, const char *words)
{
    struct secret *s = NULL;
    char err[256] = "";
    assert_int_equal(secret_load(&s, file, err, sizeof(err)), error);
    assert_null(s);
    assert_non_null(strstr(err, words));
    assert_null(strchr(err, '\n'));
}

static void test_file(void **state)
{
    (void)state;
    put(path, "k3y_from-file\n \t\r\n", 0600);
    expect_key(path, "k3y_from-file");
    put(path, "k3y", 0400);
    expect_key(path, "k3y");
    setenv("POLYGON_API_KEY", "other", 1); /* loses, and is removed all the same */
    expect_key(path, "k3y");
    secret_free(NULL);
}

static void test_refusals(void **state)
{
    (void)state;
    unsetenv("POLYGON_API_KEY");
    unsetenv("CREDENTIALS_DIRECTORY");
    expect_refusal("", -ENOENT, "no API key");
    expect_refusal("/nonexistent/key", -ENOENT, "/nonexistent/key");
    expect_refusal(dir, -EINVAL, "not a file");
    static const mode_t modes[] = {0640, 0604, 0660, 0666, 0610};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        put(path, "key", modes[i]);
        expect_refusal(path, -EPERM, "readable by others");
    }
    put(path, " \n", 0600);
    expect_refusal(path, -EINVAL, "empty");
    put(path, "", 0600);
    expect_refusal(path, -EINVAL, "empty");
    put(path, "two words", 0600);
    expect_refusal(path, -EINVAL, "no printable ASCII");
    put(path, "two\nlines", 0600);
    expect_refusal(path, -EINVAL, "no printable ASCII");
    put(path, "k\xc3\xa9y", 0600);
    expect_refusal(path, -EINVAL, "no printable ASCII");
    setenv("POLYGON_API_KEY", "", 1);
    expect_refusal("", -EINVAL, "empty");
}

static void test_length(void **state)
{
    (void)state;
    char key[600];
    memset(key, 'k', sizeof(key));
    key[256] = '\0';
    put(path, key, 0600);
    expect_key(path, key);
    key[256] = 'k';
    key[257] = '\0';
    put(path, key, 0600);
    expect_refusal(path, -EINVAL, "longer than 256");
    key[257] = 'k';
    key[599] = '\0';
    put(path, key, 0600);
    expect_refusal(path, -EINVAL, "longer than 256");
}

static void test_credential(void **state)
{
    (void)state;
    char credential[128];
    snprintf(credential, sizeof(credential), "%s/polygon_api_key", dir);
    put(credential, "from-systemd\n", 0440); /* the group bits are an ACL's mask there */
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    setenv("POLYGON_API_KEY", "from-environment", 1);
    expect_key("", "from-systemd");
    expect_key(credential, "from-systemd");
    put(path, "from-file", 0600);
    expect_key(path, "from-file");
    char sneaky[192];
    put(path, "from-file", 0640);
    snprintf(sneaky, sizeof(sneaky), "%s/..%s", dir, strrchr(path, '/'));
    expect_refusal(sneaky, -EPERM, "readable by others");
    unlink(credential);
    setenv("POLYGON_API_KEY", "from-environment", 1);
    expect_key("", "from-environment");
    unsetenv("CREDENTIALS_DIRECTORY");
    expect_refusal("", -ENOENT, "no API key");
}

/* Reads a whole /proc file. */
static size_t slurp(const char *name, char *buf, size_t size)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    size_t at = 0;
    ssize_t n;
    while (at < size && (n = read(fd, buf + at, size - at)) > 0)
        at += (size_t)n;
    close(fd);
    return at;
}

/* Runs as a child that was started with the key in its environment: nothing of it may be left to see. */
static int look_at_own_environment(void)
{
    static char seen[1 << 16];
    size_t n = slurp("/proc/self/environ", seen, sizeof(seen));
    if (!memmem(seen, n, "SHIBBOLETH", 10))
        return 2; /* the test would prove nothing */
    struct secret *s;
    char err[256];
    if (secret_load(&s, "", err, sizeof(err)) < 0 || strcmp(secret_text(s), "SHIBBOLETH-KEY") != 0)
        return 3;
    n = slurp("/proc/self/environ", seen, sizeof(seen));
    if (memmem(seen, n, "SHIBBOLETH", 10) || getenv("POLYGON_API_KEY"))
        return 4;
    secret_free(s);
    return 0;
}

static void test_environment_is_wiped(void **state)
{
    (void)state;
    if (emulated())
        skip();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("POLYGON_API_KEY", "SHIBBOLETH-KEY", 1);
        execl("/proc/self/exe", "test_secret", "--look", (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_guard(void **state)
{
    (void)state;
    if (emulated())
        skip();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit limit;
        secret_guard_process();
        getrlimit(RLIMIT_CORE, &limit);
        _exit(limit.rlim_max != 0 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The pages of the key are locked (where the limit allows) and left out of dumps. */
static void test_pages(void **state)
{
    (void)state;
    if (emulated())
        skip();
    struct secret *s;
    char err[256], line[512], flags[512] = "";
    put(path, "k", 0600);
    assert_int_equal(secret_load(&s, path, err, sizeof(err)), 0);
    FILE *f = fopen("/proc/self/smaps", "re");
    assert_non_null(f);
    bool inside = false;
    while (fgets(line, sizeof(line), f)) {
        unsigned long long from, to;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            inside = (uintptr_t)secret_text(s) >= from && (uintptr_t)secret_text(s) < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            memcpy(flags, line, sizeof(flags));
    }
    fclose(f);
    if (flags[0]) { /* some sandboxes give none */
        assert_non_null(strstr(flags, " dd"));
        struct rlimit limit;
        getrlimit(RLIMIT_MEMLOCK, &limit);
        if (limit.rlim_cur >= 1 << 20 && !SANITIZED)
            assert_non_null(strstr(flags, " lo"));
    }
    secret_free(s);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/polygond-test-secret-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s-file", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--look") == 0)
        return look_at_own_environment();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_credential),
        cmocka_unit_test(test_environment_is_wiped),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_pages),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
